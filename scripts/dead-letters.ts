/** `bun run dead-letters`: what is in the dead-letter topic, and sending it again. `--help` says how. */
import type { Kafka } from 'kafkajs';
import { KafkaJSError } from 'kafkajs';
import { type Config, readConfig } from '../src/config.ts';
import { letterToJson } from '../src/dead-letters/json.ts';
import { addressOf, type Letter } from '../src/dead-letters/letter.ts';
import { type Letters, openLetters } from '../src/dead-letters/letters.ts';
import { list } from '../src/dead-letters/list.ts';
import { type Command, readCommand } from '../src/dead-letters/options.ts';
import { createOutput, createProgress } from '../src/dead-letters/output.ts';
import { createReader } from '../src/dead-letters/reader.ts';
import { createRedriver, type Outcome, redrive } from '../src/dead-letters/redrive.ts';
import { safeLine } from '../src/dead-letters/safe-text.ts';
import { letterToText } from '../src/dead-letters/show.ts';
import { createKafka, kafkaAddress, patientFor } from '../src/kafka.ts';
import { createLog } from '../src/log.ts';
import { oneLine } from '../src/service-state.ts';

/** Kafka has so long for each answer, in ms. */
const patience = 10_000;
/** As a shell has it for Ctrl-C. */
const interrupted = 130;

type Context = {
  kafka: Kafka;
  config: Config;
  patiently: ReturnType<typeof patientFor>;
  letters: Letters;
  output: ReturnType<typeof createOutput>;
  progress: ReturnType<typeof createProgress>;
};
type Of<Name> = Extract<Command, { name: Name }>;

const showLetter = async ({ given, partition, offset }: Of<'show'>, { letters, output }: Context) => {
  const letter = await letters.at(partition, offset);
  if (!letter)
    throw new Error(
      `there is no letter ${addressOf({ partition, offset: `${offset}` })} in ${letters.topic}`,
    );
  await output.write(given.json ? letterToJson(letter) : letterToText(letter, letters.topic));
  return 0;
};

const redriveLetters = async (
  { given }: Of<'redrive'>,
  { kafka, config, patiently, letters, output, progress }: Context,
) => {
  const isDry = given['dry-run'] === true;
  const { topic, deadLetterTopic } = config;
  const redriver = createRedriver({ kafka, topic, deadLetterTopic, patiently });
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(interrupted);
    stop.abort();
    progress.say('Stopping after the letters in flight. Ctrl-C again gives them up.');
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);

  let sent = 0;
  let left = 0;
  const tell = ({ letter, reason }: Outcome) => {
    const outcome = reason !== undefined ? 'left' : isDry ? 'ready' : 'sent';
    const letterText = addressOf(letter);
    if (given.json)
      return JSON.stringify({ letter: letterText, outcome, reason: reason && safeLine(reason) });
    if (outcome === 'sent') return undefined;
    return `${letterText}  ${outcome === 'left' ? `left: ${safeLine(reason ?? '')}` : 'would be sent'}`;
  };
  const report = async (outcomes: Outcome[]) => {
    progress.clear();
    for (const outcome of outcomes) {
      if (outcome.reason === undefined) sent += 1;
      else left += 1;
      const line = tell(outcome);
      if (line !== undefined) await output.write(line);
    }
    await output.flush();
    progress.show(`${sent} sent to ${topic}, ${left} left`);
  };

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
      signal: stop.signal,
    });
  } finally {
    const what = isDry ? 'would be sent' : 'sent';
    progress.say(`${sent} ${what} to ${topic}, ${left} left${stop.signal.aborted ? '; interrupted' : ''}`);
  }
  if (stop.signal.aborted) return interrupted;
  return left > 0 ? 1 : 0;
};

const execute = async (command: Command, config: Config): Promise<number> => {
  const brokers = config.brokers ?? ['127.0.0.1:9092'];
  const patiently = patientFor(patience, brokers);
  // What kafkajs has to say is said by `patiently`.
  const kafka = createKafka(
    kafkaAddress(config, brokers),
    'order-dead-letters',
    createLog('silent', 'dead-letters'),
  );
  const output = createOutput();
  const progress = createProgress();
  const reader = createReader(kafka, patiently);
  await reader.connect();
  const letters = await openLetters({
    reader,
    topic: config.deadLetterTopic,
    onRead: (read, total) => progress.show(`${Math.floor((read / total) * 100)} % read`),
  });
  if (!letters.exists) progress.say(`There is no topic ${letters.topic}: nothing has failed so far.`);
  const context = { kafka, config, patiently, letters, output, progress };
  const run = () => {
    if (command.name === 'show') return showLetter(command, context);
    if (command.name === 'redrive') return redriveLetters(command, context);
    const { all = false, json = false, limit } = command.given;
    const write = (line: string) => {
      progress.clear();
      return output.write(line);
    };
    return list(letters.matching(command.given), { all, json, limit }, letters.topic, write).then(() => 0);
  };
  const status = await run();
  await output.flush();
  return status;
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
    console.error(`${error instanceof KafkaJSError ? 'Kafka refuses: ' : ''}${oneLine(error)}`);
    return 1;
  }
};

// kafkajs may be in the middle of connecting, which it does not interrupt.
process.exit(await run());
