import { define, type Given, optionLines, readArguments, type Table } from '../cli/arguments.ts';
import { person } from '../cli/person.ts';
import { settingLines } from '../cli/reads.ts';
import { integer, kafkaName } from '../config/values.ts';
import { filterOptions } from './filter.ts';
import { type Fix, readFix } from './fix.ts';
import { parseLetterAddress } from './letter.ts';

const limit = (description: string) => define({ value: 'N', ...integer(1), description });
const json = (what: string) => `${what} as JSON, one object per line`;
const help = 'show this help';

const tables = {
  list: {
    options: {
      ...filterOptions,
      limit: limit('show the newest N; default 50, with --json all'),
    },
    flags: {
      all: 'include letters that were sent again',
      discarded: 'show the discarded letters, and only those',
      json: json('the complete letters'),
      help,
    },
  },
  show: { options: {}, flags: { json: json('the letter'), help } },
  find: {
    options: {
      phone: define({
        ...person.phone,
        description: 'letters with the digits of this phone number, whatever is between them',
      }),
      email: define({
        ...person.email,
        description: 'letters with this email address, in capital or small letters',
      }),
      customer: define({
        ...person.customer,
        description: 'letters with this customer_id, as a text or a number',
      }),
      limit: limit('show the newest N; default 50, with --json all'),
    },
    flags: { json: json('the complete letters'), help },
  },
  redrive: {
    options: {
      ...filterOptions,
      from: define({
        value: 'TOPIC',
        ...kafkaName,
        description: 'source topic of the letters to accept, instead of KAFKA_TOPIC',
      }),
      fix: define<Fix>({
        value: 'PATCH',
        allowed: 'a JSON Patch',
        description: 'apply this JSON Patch (RFC 6902) to the values; inline, or the path of a file',
        read: readFix,
      }),
      limit: limit('send at most N'),
    },
    flags: {
      'dry-run': 'only list what would be sent',
      unchecked: 'also send values that are not valid orders',
      json: json('the outcome of each letter'),
      help,
    },
  },
  discard: {
    options: { ...filterOptions, limit: limit('discard at most N') },
    flags: {
      undo: 'take back earlier discards',
      'dry-run': 'only list what would be discarded',
      json: json('the outcome of each letter'),
      help,
    },
  },
} satisfies Record<string, Table>;

export type Command =
  | { name: 'list'; given: Given<(typeof tables)['list']> }
  | { name: 'show'; given: Given<(typeof tables)['show']>; partition: number; offset: bigint }
  | { name: 'find'; given: Given<(typeof tables)['find']> }
  | { name: 'redrive'; given: Given<(typeof tables)['redrive']> }
  | { name: 'discard'; given: Given<(typeof tables)['discard']> };

/** Parses the command line. Throws an Error of one line for the first argument that is not allowed. */
export const readCommand = ([name, ...args]: string[]): Command | { help: string } => {
  if (name === undefined || name === '--help' || name === '-h') return { help: overview };
  if (name === 'list' || name === 'find' || name === 'redrive' || name === 'discard') {
    const read = readArguments(args, tables[name]);
    if (read === 'help') return { help: helps[name] };
    if (
      name === 'find' &&
      !['phone', 'email', 'customer'].some((option) => Object.hasOwn(read.given, option))
    )
      throw new Error('find needs --phone, --email or --customer');
    return { name, given: read.given } as Command;
  }
  if (name === 'show') {
    const read = readArguments(args, tables.show, 1);
    if (read === 'help') return { help: helps.show };
    const [address = ''] = read.rest;
    const place = parseLetterAddress(address);
    if (!place)
      throw new Error(
        `show ${address === '' ? 'names no letter' : `names ${JSON.stringify(address)}`}; allowed: one letter as PARTITION/OFFSET, as list prints it, such as 3/17`,
      );
    return { name, given: read.given, ...place };
  }
  throw new Error(`${JSON.stringify(name)} is not a command; these are: list, show, find, redrive, discard`);
};

const environment = settingLines('dead-letters');

const overview = `Usage: bun run dead-letters COMMAND [options]

Messages that could not be stored are in the dead-letter topic. No command deletes from it.

  list                   list dead letters and their reasons
  show PARTITION/OFFSET  show one letter
  find                   list all letters with the data of a person
  redrive                send the messages again, unchanged or with a fix
  discard                leave letters out of lists and redrives; --undo takes that back

For the options of a command: COMMAND --help.

Exit status: 0 if done, 1 if it was not, 2 if an argument or the environment is wrong; redrive and discard also 130 (Ctrl-C) and 143
(SIGTERM) if stopped.

${environment}`;

const helps = {
  list: `Usage: bun run dead-letters list [options]

Lists dead letters, newest first, and counts them by reason. The time of a letter is when its message was sent, not when it
failed. Letters that were sent again or discarded are omitted.

${optionLines(tables.list)}

${environment}`,
  show: `Usage: bun run dead-letters show PARTITION/OFFSET [options]

Shows one letter: origin, reason, key, headers and value. Control characters are shown as escapes.

${optionLines(tables.show)}

${environment}`,
  find: `Usage: bun run dead-letters find --phone PHONE | --email ADDRESS | --customer ID [options]

Lists all letters with the data of a person, in their key, value or headers: also those that were sent again or discarded. Of several options
one has to match. A letter need not be an order, so it may contain the text by chance. Says what Kafka can do to delete them.

${optionLines(tables.find)}

${environment}`,
  redrive: `Usage: bun run dead-letters redrive [options]

Sends the messages of dead letters to KAFKA_TOPIC again, with their original key, value and headers, and the headers
__redrive.count, __redrive.letter and __redrive.timestamp. The timestamp is the time of the redrive. Each letter is sent
once: a mark in the dead-letter topic records it.
Ctrl-C stops after the batch in flight. The command may be interrupted and repeated at any time: messages that were in
flight may be sent a second time, which changes nothing in the store. Values that are not valid orders are skipped and listed;
discarded letters are left out.

${optionLines(tables.redrive)}

Exit status: 0 if all were sent, 1 if some were skipped or Kafka is unavailable, 2 if an argument or the environment is wrong,
130 (Ctrl-C) or 143 (SIGTERM) if stopped.

  bun run dead-letters redrive --reason currency --dry-run \\
    --fix '[{"op":"replace","path":"/payment/currency","value":"RUB"}]'

${environment}`,
  discard: `Usage: bun run dead-letters discard [options]

Marks dead letters as discarded: list and redrive leave them out. They stay in the topic, and list --discarded shows them. The
marks are in the dead-letter topic, too. Without a filter all letters are discarded that were not sent again.

${optionLines(tables.discard)}

  bun run dead-letters discard --stage parse --until 7d --dry-run
  bun run dead-letters discard --undo --uid b563feb7b2b84b6test

${environment}`,
};
