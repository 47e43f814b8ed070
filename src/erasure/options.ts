import { define, optionLines, readArguments, type Table } from '../cli/arguments.ts';
import { person } from '../cli/person.ts';
import { settingLines } from '../cli/reads.ts';
import { isOrderUid, type OrderUid } from '../order/order.ts';
import type { Trait } from '../postgres/erasures.ts';

/** The orders to erase: these, or all of a person. */
export type Selection = { uids: OrderUid[] } | { trait: Trait; value: string };

export type Command = { selection: Selection; isDry: boolean; isConfirmed: boolean };

const table = {
  options: {
    phone: define({ ...person.phone, description: 'all stored orders with this phone number' }),
    email: define({
      ...person.email,
      description: 'all stored orders with this email address, in capital or small letters',
    }),
    customer: define({ ...person.customer, description: 'all stored orders with this customer_id' }),
  },
  flags: {
    'dry-run': 'erase nothing, print the order_uids that would be erased',
    yes: 'erase without asking; required without a terminal',
    help: 'show this help',
  },
} satisfies Table;

const help = `Usage: bun run orders erase UID… [options]
       bun run orders erase --phone PHONE | --email ADDRESS | --customer ID [options]

Erases orders for good: deletes them from PostgreSQL, and marks their numbers by a keyed digest, so that a message that is read again does
not bring them back. Orders given by UID that are not stored are marked, too. Says how many orders it has found, and asks. At most 10,000
UIDs at once; after -- also those that begin with a dash.

The marks are of orders, not of people: an order of the same person that arrives later is stored. Messages in Kafka's topics and backups
keep what they hold: see docs/erasure.md.

${optionLines(table)}

Exit status: 0 if done, 1 if it was not, 2 if an argument or the environment is wrong.

${settingLines('orders')}`;

const maxUids = 10_000;

/** Parses the command line. Throws an Error of one line for the first argument that is not allowed. */
export const readCommand = ([name, ...args]: string[]): Command | { help: string } => {
  if (name === undefined || name === '--help' || name === '-h') return { help };
  if (name !== 'erase') throw new Error(`${JSON.stringify(name)} is not a command; there is one: erase`);
  const read = readArguments(args, table, maxUids);
  if (read === 'help') return { help };
  const { given, rest } = read;
  const wrong = rest.find((uid) => !isOrderUid(uid));
  if (wrong !== undefined)
    throw new Error(`${JSON.stringify(wrong)} is not an order_uid; allowed: 10 to 50 characters`);
  const selections: Selection[] = rest.length > 0 ? [{ uids: [...new Set(rest)] }] : [];
  for (const trait of ['phone', 'email', 'customer'] as const) {
    const value = given[trait];
    if (value !== undefined) selections.push({ trait, value });
  }
  const [selection] = selections;
  if (!selection || selections.length > 1)
    throw new Error('erase needs one of these: order_uids, --phone, --email or --customer');
  return { selection, isDry: given['dry-run'] === true, isConfirmed: given.yes === true };
};
