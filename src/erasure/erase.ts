import type { OrderUid } from '../order/order.ts';
import type { Erasures } from '../postgres/erasures.ts';
import type { Command, Selection } from './options.ts';

/** Orders in a transaction: no batch is stored meanwhile. */
const batchSize = 500;

type Options = {
  erasures: Erasures;
  /** Asks the operator. */
  confirm: () => boolean;
  write: (line: string) => void;
};

/** Erases the selected orders, in transactions of 500. Resolves with false if nothing was erased because nobody confirmed it. */
export const eraseSelected = async (
  { selection, isDry, isConfirmed }: Command,
  { erasures, confirm, write }: Options,
): Promise<boolean> => {
  const stored =
    'uids' in selection ? await erasures.findStored(selection.uids) : await findBy(selection, erasures);
  const uids = 'uids' in selection ? selection.uids : stored;
  write(describe(selection, stored));
  if (isDry) {
    for (const uid of stored) write(uid);
    write('Dry run: nothing was erased.');
    return true;
  }
  if (uids.length === 0) return true;
  if (!isConfirmed && !confirm()) {
    write('Nothing was erased: it was not confirmed. Without a terminal, add --yes.');
    return false;
  }
  let erased = 0;
  for (let at = 0; at < uids.length; at += batchSize) {
    erased += await erasures.erase(uids.slice(at, at + batchSize));
    if (at + batchSize < uids.length) write(`${erased} erased so far.`);
  }
  const marked = uids.length - erased;
  write(`${orders(erased)} erased${marked > 0 ? `, ${marked} more marked` : ''}.`);
  return true;
};

const findBy = ({ trait, value }: Extract<Selection, { trait: unknown }>, erasures: Erasures) =>
  erasures.findBy(trait, value);

const orders = (count: number) => `${count} order${count === 1 ? '' : 's'}`;

const traits = { phone: 'phone number', email: 'email address', customer: 'customer_id' };

const describe = (selection: Selection, stored: readonly OrderUid[]): string => {
  const count = stored.length;
  if ('trait' in selection)
    return `${orders(count)} with this ${traits[selection.trait]} ${count === 1 ? 'is' : 'are'} stored.`;
  const total = selection.uids.length;
  const absent = total - count;
  return (
    `${count} of ${orders(total)} ${count === 1 ? 'is' : 'are'} stored.` +
    (absent > 0
      ? ` The other${absent === 1 ? ' is' : 's are'} marked, and not stored if a message has ${absent === 1 ? 'it' : 'them'}.`
      : '')
  );
};
