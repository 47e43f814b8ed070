/** `bun run dead-letters`: what is in the dead-letter topic, and sending it again. `--help` says how. */
import { type Kafka, KafkaJSError } from 'kafkajs';
import { interruptedStatus, stopOnSignals } from '../src/async/signals.ts';
import { kafkaAddress } from '../src/config/kafka-address.ts';
import { type Config, readConfig } from '../src/config/settings.ts';
import { letterToJson } from '../src/dead-letters/format/json.ts';
import { safeLine, shortened } from '../src/dead-letters/format/safe-text.ts';
import { addressOf, type Letter } from '../src/dead-letters/letter.ts';
import { type Letters, openLetters } from '../src/dead-letters/letters.ts';
import { list } from '../src/dead-letters/list.ts';
import { type Command, readCommand } from '../src/dead-letters/options.ts';
import { createOutput, createProgress, type Output, type Progress } from '../src/dead-letters/output.ts';
import { createReader, type Reader } from '../src/dead-letters/reader.ts';
import { createRedriver, type Outcome, redrive } from '../src/dead-letters/redrive.ts';
import { letterToText } from '../src/dead-letters/show.ts';
import { createKafka } from '../src/kafka/client.ts';
import { limitBatches } from '../src/kafka/record-batches.ts';
import { type RetryKafka, retryKafkaFor } from '../src/kafka/retry.ts';
import { errorText } from '../src/observability/error-text.ts';
import { createLog } from '../src/observability/log.ts';

/** Kafka has so long for each answer, in ms. */
const patience = 10_000;

type Of<Name> = Extract<Command, { name: Name }>;
type Context = {
  kafka: Kafka;
  reader: Reader;
  config: Config;
  retryKafka: RetryKafka;
  letters: Letters;
  output: Output;
  progress: Progress;
};

const listLetters = async ({ given }: Of<'list'>, { letters, output, progress }: Context) => {
  const { all = false, json = false, limit } = given;
  const write = (line: string) => {
    progress.clear();
    return output.write(line);
  };
  await list(letters.matching(given), { all, json, limit }, letters.topic, write);
  return 0;
};

const showLetter = async ({ given, partition, offset }: Of<'show'>, { letters, output }: Context) => {
  const letter = await letters.at(partition, offset);
  if (!letter) throw new Error(`there is no letter ${partition}/${offset} in ${letters.topic}`);
  await output.write(given.json ? letterToJson(letter) : letterToText(letter, letters.topic));
  return 0;
};

const redriveLetters = async (
  { given }: Of<'redrive'>,
  { kafka, reader, config, retryKafka, letters, output, progress }: Context,
) => {
  const isDry = given['dry-run'] === true;
  const { topic, deadLetterTopic } = config;
  if (!letters.exists) return 0;
  if (!isDry && !(await reader.stretches(topic)))
    throw new Error(`there is no topic ${topic}: what does KAFKA_TOPIC hold?`);
  const redriver = createRedriver({ kafka, topic, deadLetterTopic, retryKafka });
  let sent = 0;
  let left = 0;

  /** The line for an outcome; people are not told of each letter that was sent. */
  const lineOf = ({ letter, reason }: Outcome) => {
    const outcome = reason !== undefined ? 'left' : isDry ? 'ready' : 'sent';
    const name = addressOf(letter);
    const why = reason && shortened(safeLine(reason), 1_000);
    if (given.json) return JSON.stringify({ letter: name, outcome, reason: why });
    if (reason !== undefined) return `${name}  left: ${why}`;
    return isDry ? `${name}  would be sent` : undefined;
  };
  const report = async (outcomes: Outcome[]) => {
    progress.clear();
    for (const outcome of outcomes) {
      if (outcome.reason === undefined) sent += 1;
      else left += 1;
      const line = lineOf(outcome);
      if (line !== undefined) await output.write(line);
    }
    await output.flush();
    progress.show(summary());
  };
  const summary = () => `${sent} ${isDry ? 'would be sent' : 'sent'} to ${topic}, ${left} left`;

  if (!isDry) await redriver.connect();
  try {
    await redrive(letters.matching(given), {
      topic,
      from: given.from,
      fix: given.fix,
      unchecked: given.unchecked === true,
      limit: given.limit ?? Number.POSITIVE_INFINITY,
      send: isDry ? async () => new Map<Letter, string>() : redriver.send,
      report,
    });
  } finally {
    progress.say(summary());
  }
  return left > 0 ? 1 : 0;
};

const execute = async (command: Command, config: Config): Promise<number> => {
  const brokers = config.brokers ?? ['127.0.0.1:9092'];
  const address = `${brokers}${config.brokers ? '' : ' (KAFKA_BROKERS is not set)'}`;
  const retryKafka = retryKafkaFor(patience, address);
  // What kafkajs has to say is said by `retryKafka`.
  const log = createLog('silent', 'dead-letters');
  const kafka = createKafka(kafkaAddress(config, brokers), 'order-dead-letters', log);
  limitBatches(config.maxBatchBytes);
  const output = createOutput();
  const progress = createProgress();
  const stopping = () => progress.say('Stopping after the letters in flight. Ctrl-C again gives them up.');
  const stop = command.name === 'redrive' ? stopOnSignals(stopping) : undefined;

  try {
    const reader = createReader(kafka, retryKafka);
    await reader.connect();
    const letters = await openLetters({
      reader,
      topic: config.deadLetterTopic,
      onRead: (read, total) => progress.show(`${Math.floor((read / total) * 100)} % read`),
      ...(stop && { signal: stop }),
    });
    if (!letters.exists) progress.say(`There is no topic ${letters.topic}: nothing has failed so far.`);
    const context = { kafka, reader, config, retryKafka, letters, output, progress };
    const status =
      command.name === 'list'
        ? await listLetters(command, context)
        : command.name === 'show'
          ? await showLetter(command, context)
          : await redriveLetters(command, context);
    await output.flush();
    return status;
  } catch (error) {
    if (!stop?.aborted || error !== stop.reason) throw error;
    progress.say('Interrupted: the rest waits for the next redrive.');
    return interruptedStatus;
  } finally {
    progress.clear();
  }
};

const run = async (): Promise<number> => {
  let command: ReturnType<typeof readCommand>;
  let config: Config;
  try {
    command = readCommand(process.argv.slice(2));
    config = readConfig(process.env);
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
  if (command.name === 'help') {
    console.log(command.text);
    return 0;
  }
  try {
    return await execute(command, config);
  } catch (error) {
    // Nobody reads on: `| head` has what it wanted. But a redrive was cut short.
    if ((error as { code?: unknown }).code === 'EPIPE') return command.name === 'redrive' ? 1 : 0;
    console.error(`${error instanceof KafkaJSError ? 'Kafka refuses: ' : ''}${errorText(error)}`);
    return 1;
  }
};

// kafkajs may be in the middle of connecting, which it does not interrupt.
process.exit(await run());
