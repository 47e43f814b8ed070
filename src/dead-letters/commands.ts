import { interruptedStatus, stopOnSignals } from '../async/signals.ts';
import { brokersOf, openKafka } from '../cli/kafka.ts';
import { createOutput, createProgress, type Output, type Progress } from '../cli/output.ts';
import type { ConfigOf, reads } from '../cli/reads.ts';
import { orderRules } from '../config/order-rules.ts';
import { limitBatches } from '../kafka/record-batches.ts';
import { createOrderParser } from '../order/parser.ts';
import { createFinder, deletionAdvice } from './find.ts';
import { letterToJson } from './format/json.ts';
import { list } from './format/list.ts';
import { letterToText } from './format/show.ts';
import { letterAddress } from './letter.ts';
import { createLetterClient, shownReason } from './letter-client.ts';
import type { Letters } from './letters.ts';
import type { Command } from './options.ts';
import type { OffsetRange } from './reader.ts';
import type { LetterOutcome } from './redrive.ts';

type CommandNamed<Name> = Extract<Command, { name: Name }>;
type Context = {
  config: ConfigOf<(typeof reads)['dead-letters']>;
  client: ReturnType<typeof createLetterClient>;
  letters: Letters;
  /** What each partition of a topic holds; undefined if there is no such topic. */
  offsetRanges: (topic: string) => Promise<OffsetRange[] | undefined>;
  output: Output;
  progress: Progress;
};

const listLetters = async ({ given }: CommandNamed<'list'>, { letters, output, progress }: Context) => {
  const { all = false, discarded = false, json = false, limit } = given;
  const write = (line: string) => {
    progress.clear();
    return output.write(line);
  };
  await list(letters.matching(given), { all, discarded, json, limit }, letters.topic, write);
  return 0;
};

const findLetters = async (
  { given }: CommandNamed<'find'>,
  { config, letters, offsetRanges, output, progress }: Context,
) => {
  const { json = false, limit, ...person } = given;
  const write = (line: string) => {
    progress.clear();
    return output.write(line);
  };
  const finder = createFinder(person);
  await list(
    finder.find(letters.matching({})),
    { all: true, discarded: false, json, limit },
    letters.topic,
    write,
  );
  if (json) return 0;
  const ranges = (await offsetRanges(letters.topic)) ?? [];
  for (const line of deletionAdvice(letters.topic, brokersOf(config).join(','), finder.last, ranges))
    await write(line);
  return 0;
};

const showLetter = async (
  { given, partition, offset }: CommandNamed<'show'>,
  { letters, output }: Context,
) => {
  const letter = await letters.at(partition, offset);
  if (!letter) throw new Error(`there is no letter ${partition}/${offset} in ${letters.topic}`);
  await output.write(given.json ? letterToJson(letter) : letterToText(letter, letters.topic));
  return 0;
};

/** Writes one line per letter, except for letters that were sent if people read it, and counts the outcomes. */
const createReport = ({ json, isDry, topic }: { json: boolean; isDry: boolean; topic: string }) => {
  let sent = 0;
  let skipped = 0;
  return {
    summary: () => `${sent} ${isDry ? 'would be sent' : 'sent'} to ${topic}, ${skipped} skipped`,
    status: () => (skipped > 0 ? 1 : 0),
    add({ letter, reason }: LetterOutcome): string | undefined {
      if (reason === undefined) sent += 1;
      else skipped += 1;
      const address = letterAddress(letter);
      const shown = reason && shownReason(reason);
      if (json) {
        const outcome = reason !== undefined ? 'skipped' : isDry ? 'ready' : 'sent';
        return JSON.stringify({ letter: address, outcome, reason: shown });
      }
      if (reason !== undefined) return `${address}  skipped: ${shown}`;
      return isDry ? `${address}  would be sent` : undefined;
    },
  };
};

const redriveLetters = async (
  { given }: CommandNamed<'redrive'>,
  { config, client, letters, offsetRanges, output, progress }: Context,
) => {
  const { topic } = config;
  const { from, fix, limit, unchecked, 'dry-run': isDry = false, json = false } = given;
  if (!letters.exists) return 0;
  if (!isDry && !(await offsetRanges(topic)))
    throw new Error(`there is no topic ${topic}: check KAFKA_TOPIC`);
  const report = createReport({ json, isDry, topic });
  try {
    await client.redrive(letters.matching(given), {
      parser: createOrderParser(orderRules(config)),
      from,
      fix,
      unchecked,
      limit,
      isDry,
      async report(outcomes) {
        progress.clear();
        for (const outcome of outcomes) {
          const line = report.add(outcome);
          if (line !== undefined) await output.write(line);
        }
        await output.flush();
        progress.show(report.summary());
      },
    });
  } finally {
    progress.say(report.summary());
  }
  return report.status();
};

const discardLetters = async (
  { given }: CommandNamed<'discard'>,
  { client, letters, output, progress }: Context,
) => {
  const { undo = false, json = false, 'dry-run': isDry = false, limit } = given;
  if (!letters.exists) return 0;
  const outcome = undo ? 'restored' : 'discarded';
  let count = 0;
  const summary = () => `${count} ${isDry ? 'would be ' : ''}${outcome} in ${letters.topic}`;
  try {
    await client.discard(letters.matching(given), {
      undo,
      limit,
      isDry,
      async report(found) {
        progress.clear();
        count += found.length;
        for (const letter of found) {
          const address = letterAddress(letter);
          if (json)
            await output.write(JSON.stringify({ letter: address, outcome: isDry ? 'ready' : outcome }));
          else if (isDry) await output.write(`${address}  would be ${outcome}`);
        }
        await output.flush();
        progress.show(summary());
      },
    });
  } finally {
    progress.say(summary());
  }
  return 0;
};

const runWith = (command: Command, context: Context): Promise<number> => {
  if (command.name === 'list') return listLetters(command, context);
  if (command.name === 'find') return findLetters(command, context);
  if (command.name === 'show') return showLetter(command, context);
  if (command.name === 'discard') return discardLetters(command, context);
  return redriveLetters(command, context);
};

/** Runs a command and resolves with the status of the process. */
export const execute = async (
  command: Command,
  config: ConfigOf<(typeof reads)['dead-letters']>,
): Promise<number> => {
  const { topic, deadLetterTopic } = config;
  const client = createLetterClient({ ...openKafka(config, 'order-dead-letters'), topic, deadLetterTopic });
  limitBatches(config.maxBatchBytes);
  const output = createOutput();
  const progress = createProgress();
  // What writes needs to stop between two batches; the others end at once.
  const writes = command.name === 'redrive' || command.name === 'discard';
  const stop = writes
    ? stopOnSignals(() => progress.say('Stopping after the letters in flight. Ctrl-C again abandons them.'))
    : undefined;

  try {
    const { letters, offsetRanges } = await client.open({
      onRead: (read, total) => progress.show(`${Math.floor((read / total) * 100)} % read`),
      ...(stop && { signal: stop }),
    });
    if (!letters.exists) progress.say(`There is no topic ${letters.topic}: no message has failed so far.`);
    const status = await runWith(command, { config, client, letters, offsetRanges, output, progress });
    await output.flush();
    return status;
  } catch (error) {
    // The reader of the output is gone, as with `| head`: that completes a list, but it cuts a redrive or a discard short.
    if ((error as { code?: unknown }).code === 'EPIPE') return writes ? 1 : 0;
    if (!stop?.aborted || error !== stop.reason) throw error;
    progress.say(`Interrupted: the next ${command.name} continues with the rest.`);
    return interruptedStatus(stop);
  } finally {
    progress.clear();
  }
};
