import { define, optionLines, readArguments, type Table } from '../cli/arguments.ts';
import { time } from '../dead-letters/filter.ts';

/** A place in a topic: its beginning or end, the first message from an instant on (in ms), or an offset for some partitions. */
export type Place =
  | { kind: 'earliest' }
  | { kind: 'latest' }
  | { kind: 'time'; at: number }
  | { kind: 'offsets'; offsets: ReadonlyMap<number, bigint> };

export type Command = {
  direction: 'back' | 'forward';
  place: Place;
  isDry: boolean;
  isConfirmed: boolean;
  waits: boolean;
};

const allowed = (end: string) =>
  `${end}, ${time.allowed}, or offsets as PARTITION/OFFSET, such as 3/17 or 0/200,3/17`;

const readOffsets = (text: string): Place | undefined => {
  const offsets = new Map<number, bigint>();
  for (const part of text.split(',')) {
    const [, partition, offset] = /^(\d{1,9})\/(\d{1,18})$/.exec(part) ?? [];
    if (partition === undefined || offset === undefined || offsets.has(Number(partition))) return undefined;
    offsets.set(Number(partition), BigInt(offset));
  }
  return { kind: 'offsets', offsets };
};

const readPlace =
  (end: 'earliest' | 'latest') =>
  (text: string): Place | undefined => {
    if (text === end) return { kind: end };
    const at = time.read(text);
    return at === undefined ? readOffsets(text) : { kind: 'time', at };
  };

const table = {
  options: {
    from: define<Place>({
      value: 'WHERE',
      allowed: allowed('earliest'),
      description: 'read again from there on',
      read: readPlace('earliest'),
    }),
    'skip-to': define<Place>({
      value: 'WHERE',
      allowed: allowed('latest'),
      description: 'leave out what is before and not stored yet; needs --yes',
      read: readPlace('latest'),
    }),
  },
  flags: {
    'dry-run': 'move nothing, say what would be moved',
    yes: 'leave messages out, for good',
    wait: 'show how far the consumers are, until all that is read again is stored',
    help: 'show this',
  },
} satisfies Table;

const help = `Usage: bun run replay --from WHERE [options]
       bun run replay --skip-to WHERE --yes [options]

Moves the stored offsets of the consumer group. WHERE is "earliest" (of --skip-to: "latest"), a time (2h ago, or RFC 3339), or
offsets of some partitions: 0/200,3/17.

Consumers may run meanwhile: within seconds they begin again at the stored offsets. What is stored already stays as it is, and a
message that has a dead letter gets no second one. Only what Kafka still has can be read again.

${optionLines(table)}

Ends with status 0 if it is done, 1 if something is away or to be confirmed, 2 if the command line or the environment is wrong.

From the environment: DATABASE_URL, KAFKA_BROKERS (127.0.0.1:9092), KAFKA_TOPIC (orders), KAFKA_GROUP_ID (order-consumers),
KAFKA_SSL, KAFKA_SASL_*.`;

/** The command line as a command, or the help that it asks for. Throws an Error of one line for what is not allowed. */
export const readCommand = (args: string[]): Command | { help: string } => {
  if (args.length === 0) return { help };
  const read = readArguments(args, table);
  if (read === 'help') return { help };
  const { from, 'skip-to': skipTo, ...flags } = read.given;
  const place = from ?? skipTo;
  if (place === undefined || (from && skipTo))
    throw new Error('replay takes one of --from WHERE and --skip-to WHERE');
  return {
    direction: from ? 'back' : 'forward',
    place,
    isDry: flags['dry-run'] === true,
    isConfirmed: flags.yes === true,
    waits: flags.wait === true,
  };
};
