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

/**
 * Erases the orders, in transactions of 500. Calls back after each, and resolves, with how many of them were stored. `left`: those that
 * come after it.
 */
export const eraseInBatches = async (
  erasures: Pick<Erasures, 'erase'>,
  uids: readonly OrderUid[],
  onBatch: (erased: number, left: readonly OrderUid[]) => void = () => {},
): Promise<number> => {
  let erased = 0;
  for (let at = 0; at < uids.length; at += batchSize) {
    erased += await erasures.erase(uids.slice(at, at + batchSize));
    onBatch(erased, uids.slice(at + batchSize));
  }
  return erased;
};

/** The order_uids to erase, and those of them that are stored. `limit`: of those with a trait. */
export const findSelected = async (selection: Selection, erasures: Erasures, limit?: number) => {
  if ('trait' in selection) {
    const stored = await erasures.findBy(selection.trait, selection.value, limit);
    return { uids: stored, stored };
  }
  return { uids: selection.uids, stored: await erasures.findStored(selection.uids) };
};

/** Erases the selected orders. Resolves with false if nothing was erased because it was not confirmed. */
export const eraseSelected = async (
  { selection, isDry, isConfirmed }: Command,
  { erasures, confirm, write }: Options,
): Promise<boolean> => {
  const { uids, stored } = await findSelected(selection, erasures);
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
  const erased = await eraseInBatches(erasures, uids, (soFar, left) => {
    if (left.length > 0) write(`${soFar} erased so far.`);
  });
  const marked = uids.length - erased;
  write(`${orders(erased)} erased${marked > 0 ? `, ${marked} more marked` : ''}.`);
  return true;
};

const orders = (count: number) => `${count} order${count === 1 ? '' : 's'}`;

const traits = { phone: 'phone number', email: 'email address', customer: 'customer_id' };

const describe = (selection: Selection, stored: readonly OrderUid[]): string => {
  const count = stored.length;
  if ('trait' in selection)
    return `${orders(count)} with this ${traits[selection.trait]} ${count === 1 ? 'is' : 'are'} stored.`;
  const total = selection.uids.length;
  const absent = total - count;
  return (
    `${count} of ${orders(total)} ${total === 1 || count === 1 ? 'is' : 'are'} stored.` +
    (absent > 0
      ? ` The other${absent === 1 ? '' : 's'} will be marked, so that no message brings ${absent === 1 ? 'it' : 'them'} back.`
      : '')
  );
};
