import { define, optionLines, readArguments, type Table } from '../cli/arguments.ts';
import { settingLines } from '../cli/reads.ts';
import { time } from '../cli/time.ts';

/** A position in a topic: its start or end, the first message at or after a time (in ms), or offsets of some partitions. */
export type Position =
  | { kind: 'earliest' }
  | { kind: 'latest' }
  | { kind: 'time'; at: number }
  | { kind: 'offsets'; offsets: ReadonlyMap<number, bigint> };

export type Command = {
  direction: 'back' | 'forward';
  position: Position;
  isDry: boolean;
  isConfirmed: boolean;
  /** Wait until everything that is read again is stored. */
  shouldWait: boolean;
};

const allowed = (limit: string) =>
  `${limit}, ${time.allowed}, or offsets as PARTITION/OFFSET, such as 3/17 or 0/200,3/17`;

const readOffsets = (text: string): Position | undefined => {
  const offsets = new Map<number, bigint>();
  for (const part of text.split(',')) {
    const [, partition, offset] = /^(\d{1,9})\/(\d{1,18})$/.exec(part) ?? [];
    if (partition === undefined || offset === undefined || offsets.has(Number(partition))) return undefined;
    offsets.set(Number(partition), BigInt(offset));
  }
  return { kind: 'offsets', offsets };
};

const readPosition =
  (end: 'earliest' | 'latest') =>
  (text: string): Position | undefined => {
    if (text === end) return { kind: end };
    const at = time.read(text);
    return at === undefined ? readOffsets(text) : { kind: 'time', at };
  };

const table = {
  options: {
    from: define<Position>({
      value: 'POSITION',
      allowed: allowed('earliest'),
      description: 'read again from POSITION',
      read: readPosition('earliest'),
    }),
    'skip-to': define<Position>({
      value: 'POSITION',
      allowed: allowed('latest'),
      description: 'skip what is before POSITION and not stored yet; needs --yes',
      read: readPosition('latest'),
    }),
  },
  flags: {
    'dry-run': 'move nothing, print what would be moved',
    yes: 'confirm that messages are skipped for good',
    wait: 'show progress until everything that is read again is stored',
    help: 'show this help',
  },
} satisfies Table;

const help = `Usage: bun run replay --from POSITION [options]
       bun run replay --skip-to POSITION --yes [options]

Moves the stored offsets of the consumer group. POSITION is "earliest" (of --skip-to: "latest"), a time (2h for two hours ago, or RFC 3339), or
offsets of some partitions: 0/200,3/17.

Consumers may keep running: within seconds they resume at the stored offsets. Stored orders do not change, and a message
that has a dead letter gets no second one. Only messages that Kafka still has can be read again.

${optionLines(table)}

Exit status: 0 if done, 1 if a service is unavailable or --yes is missing, 2 if an argument or the environment is wrong,
130 (Ctrl-C) or 143 (SIGTERM) if stopped.

${settingLines('replay')}`;

/** Parses the command line. Throws an Error of one line for the first argument that is not allowed. */
export const readCommand = (args: string[]): Command | { help: string } => {
  if (args.length === 0) return { help };
  const read = readArguments(args, table);
  if (read === 'help') return { help };
  const { from, 'skip-to': skipTo, ...flags } = read.given;
  const position = from ?? skipTo;
  if (position === undefined || (from && skipTo))
    throw new Error('replay needs either --from POSITION or --skip-to POSITION');
  return {
    direction: from ? 'back' : 'forward',
    position,
    isDry: flags['dry-run'] === true,
    isConfirmed: flags.yes === true,
    shouldWait: flags.wait === true,
  };
};
