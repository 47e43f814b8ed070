import { define, type Given, integer, optionLines, readArguments, type Table } from '../cli/arguments.ts';
import { filterOptions } from './filter.ts';
import { type Fix, readFix } from './fix.ts';

const topicName = (description: string) =>
  define({
    value: 'TOPIC',
    allowed: 'the name of a topic',
    description,
    read: (text) => (/^[\w.-]{1,249}$/.test(text) ? text : undefined),
  });
const limit = (description: string) => define({ value: 'N', ...integer(1), description });
const json = (what: string) => `${what} as JSON, one object a line`;
const help = 'show this';

const tables = {
  list: {
    options: {
      ...filterOptions,
      limit: limit('show the newest N; 50 unless given, all with --json'),
    },
    flags: { all: 'also letters that were sent again', json: json('the whole letters'), help },
  },
  show: { options: {}, flags: { json: json('the letter'), help } },
  redrive: {
    options: {
      ...filterOptions,
      from: topicName('letters that came from this topic, in place of KAFKA_TOPIC'),
      fix: define<Fix>({
        value: 'PATCH',
        allowed: 'a JSON Patch',
        description: 'change the values by this JSON Patch (RFC 6902), inline or the path of a file',
        read: readFix,
      }),
      limit: limit('send N at the most'),
    },
    flags: {
      'dry-run': 'send nothing, say what would be sent',
      unchecked: 'also send what is still no order',
      json: json('what became of each letter'),
      help,
    },
  },
} satisfies Record<string, Table>;

export type Command =
  | { name: 'list'; given: Given<(typeof tables)['list']> }
  | { name: 'show'; given: Given<(typeof tables)['show']>; partition: number; offset: bigint }
  | { name: 'redrive'; given: Given<(typeof tables)['redrive']> };

/** The command line as a command, or the help that it asks for. Throws an Error of one line for what is not allowed. */
export const readCommand = ([name, ...args]: string[]): Command | { name: 'help'; text: string } => {
  if (name === undefined || name === '--help' || name === '-h') return { name: 'help', text: overview };
  if (name === 'list' || name === 'redrive') {
    const read = readArguments(args, tables[name]);
    if (read === 'help') return { name: 'help', text: helps[name] };
    return { name, given: read.given } as Command;
  }
  if (name === 'show') {
    const read = readArguments(args, tables.show, 1);
    if (read === 'help') return { name: 'help', text: helps.show };
    const [address = ''] = read.rest;
    const [, partition, offset] = /^(\d{1,9})\/(\d{1,18})$/.exec(address) ?? [];
    if (partition === undefined || offset === undefined)
      throw new Error(
        `show ${address === '' ? 'names no letter' : `names ${JSON.stringify(address)}`}; it takes one, as list prints it: PARTITION/OFFSET, such as 3/17`,
      );
    return { name, given: read.given, partition: Number(partition), offset: BigInt(offset) };
  }
  throw new Error(`${JSON.stringify(name)} is no command; these are: list, show, redrive`);
};

const environment =
  'From the environment: KAFKA_BROKERS (127.0.0.1:9092), KAFKA_TOPIC (orders), KAFKA_DLQ_TOPIC (orders_dlq), KAFKA_SSL, KAFKA_SASL_*.';

const overview = `Usage: bun run dead-letters COMMAND [options]

What could not be stored waits in the dead-letter topic. Nothing is ever taken out of it.

  list                   which letters wait, and why
  show PARTITION/OFFSET  one letter, whole
  redrive                send their messages again, as they were or with a fix

COMMAND --help tells the options.

${environment}`;

const helps = {
  list: `Usage: bun run dead-letters list [options]

Lists the letters that wait, newest first, and counts them by reason. A letter's time is that of its message: when the
message was sent, not when it failed. Those that were sent again are left out.

${optionLines(tables.list)}

${environment}`,
  show: `Usage: bun run dead-letters show PARTITION/OFFSET [options]

Shows one letter: where from and why, key, headers and value. Characters that a terminal obeys are shown as escapes.

${optionLines(tables.show)}

${environment}`,
  redrive: `Usage: bun run dead-letters redrive [options]

Sends the messages of the letters that wait to KAFKA_TOPIC again: key, value, headers and time as they first came, and the
headers __redrive.count and __redrive.letter. Each letter is sent once: a mark in the dead-letter topic remembers it.
Ctrl-C stops after the batch in flight. It is safe to interrupt in any way and to repeat: what was in flight may be sent
a second time, which changes nothing in the store. Values that are no orders are left where they are, and told.

${optionLines(tables.redrive)}

Ends with status 0 if all were sent, 1 if some were left or Kafka is away.

  bun run dead-letters redrive --reason currency --dry-run \\
    --fix '[{"op":"replace","path":"/payment/currency","value":"RUB"}]'

${environment}`,
};
