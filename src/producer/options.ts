import { statSync } from 'node:fs';
import { define, type Given, optionLines, readArguments } from '../cli/arguments.ts';
import { settingLines } from '../cli/reads.ts';
import { integer, share } from '../config/values.ts';
import { standardInput } from './file.ts';

const table = {
  options: {
    rate: define<number>({
      value: 'N',
      allowed: 'a number from 0.001 to 1000000, or 0 for no limit',
      read(text) {
        const rate = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
        return rate === 0 || (rate >= 0.001 && rate <= 1_000_000) ? rate : undefined;
      },
      description: 'orders per second; 0: as many as Kafka accepts. Default 1, with --file 0',
    }),
    count: define({ value: 'N', ...integer(1), description: 'stop after N messages; without it on Ctrl-C' }),
    seed: define({ value: 'N', ...integer(0), description: 'make the same orders in each run' }),
    invalid: define({
      value: 'SHARE',
      ...share,
      description: 'share of deliberately invalid messages, of every kind',
    }),
    file: define({
      value: 'PATH',
      allowed: 'the path of an existing file, or - for standard input',
      description: 'send the orders of this file, - for standard input, unchanged; see below',
      read: (text) =>
        text === standardInput || statSync(text, { throwIfNoEntry: false })?.isFile() ? text : undefined,
    }),
  },
  flags: { quiet: 'print only errors, and when Kafka is unavailable', help: 'show this help' },
};

const help = `Usage: bun run producer [options]

Sends plausible orders to Kafka, one a second, until Ctrl-C.

${optionLines(table)}

A file holds orders as JSON objects, one after another (NDJSON, or several lines each) or in a list, in UTF-8, also compressed by
gzip. Each object is a message with its order_uid as the key. The whole file is checked before anything is sent: if it holds
anything else, nothing is sent. Standard input is sent as it arrives, up to the first fault. A message that is too large for
the topic is named and left out.

Exit status: 0 if all were sent; 1 if the file holds anything else, or messages were left out, or Kafka refuses them; 2 if an
argument or the environment is wrong; 130 (Ctrl-C) or 143 (SIGTERM) if stopped before the end.

${settingLines('producer')}`;

export type Options = Given<typeof table>;

/** Options of generated orders: a file is sent unchanged. */
const onlyForGenerated = ['seed', 'invalid'] as const;

/** Parses the command line. Throws an Error of one line for the first argument that is not allowed. */
export const readOptions = (args: string[]): Options | { help: string } => {
  const read = readArguments(args, table);
  if (read === 'help') return { help };
  const { given } = read;
  const ineffective = onlyForGenerated.find((name) => given.file !== undefined && given[name] !== undefined);
  if (ineffective)
    throw new Error(
      `--${ineffective} has no effect with --file, whose orders are sent unchanged; give one of them`,
    );
  return given;
};
