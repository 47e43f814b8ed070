import type { Log } from '../observability/log.ts';
import type { OrderUid } from '../order/order.ts';
import type { OrderBatch, Saved, Store } from './store.ts';

/** Rows of orders and items. A batch with more is saved at once: to combine it with others would gain nothing. */
const maxRowsOfBatch = 500;
/** As many rows one statement inserts for several batches. */
const maxRowsOfStatement = 2_500;

/** Saves a batch as `Store.saveBatches` does, perhaps together with others. */
export type SaveBatch = (batch: OrderBatch) => Promise<Saved | undefined>;

type Options = {
  log: Log;
  /** A statement that takes longer is slow. */
  slowMs?: number;
};

type Save = {
  batch: OrderBatch;
  resolve: (saved: Saved | undefined) => void;
  reject: (error: unknown) => void;
};

/**
 * Saves batches of different partitions in one statement if they arrive at the same time: while orders come in slowly a fetch brings a
 * few of each partition, and a statement of its own for each would cost many times as much. After a statement that failed, or was slow,
 * each of its partitions is saved alone until that succeeds at once: neither an order that PostgreSQL refuses, nor a slow trigger, nor a
 * lock delays other partitions for long. A statement of several batches waits for a lock as long as `saveBatches` allows.
 */
export const combineSaves = (
  { saveBatches }: Pick<Store, 'saveBatches'>,
  { log, slowMs = 100 }: Options,
): SaveBatch => {
  let waiting: Save[] = [];
  /** The partitions that are saved alone. */
  const alone = new Set<number>();

  const save = async (saves: readonly Save[]): Promise<void> => {
    const begunAt = performance.now();
    const setAlone = (isAlone: boolean) => {
      for (const { batch } of saves)
        if (isAlone) alone.add(batch.range.partition);
        else alone.delete(batch.range.partition);
    };
    try {
      const results = await saveBatches(saves.map(({ batch }) => batch));
      setAlone(performance.now() - begunAt > slowMs);
      for (const [index, { resolve }] of saves.entries()) resolve(results[index]);
    } catch (error) {
      setAlone(true);
      if (saves.length === 1) return saves[0]?.reject(error);
      log.debug(
        { batches: saves.length, error },
        'batches not stored by one statement; each is stored alone',
      );
      for (const one of saves) void save([one]);
    }
  };

  const saveWaiting = () => {
    const arrived = waiting;
    waiting = [];
    for (const part of divide(arrived)) void save(part);
  };

  return (batch) =>
    new Promise((resolve, reject) => {
      const one = { batch, resolve, reject };
      const isCombinable =
        batch.isWhole && !alone.has(batch.range.partition) && rowsOf(batch) <= maxRowsOfBatch;
      if (!isCombinable) return void save([one]);
      if (waiting.length === 0) setImmediate(saveWaiting);
      waiting.push(one);
    });
};

const rowsOf = ({ orders }: OrderBatch) => orders.reduce((rows, { items }) => rows + 1 + items.length, 0);

/** Into parts that one statement can insert: neither a partition nor an order_uid comes twice in a part. */
const divide = (saves: readonly Save[]): Save[][] => {
  const parts: Save[][] = [];
  let [partitions, uids, rows] = [new Set<number>(), new Set<OrderUid>(), 0];
  for (const save of saves) {
    const { orders, range } = save.batch;
    const more = rowsOf(save.batch);
    const isRepeated = partitions.has(range.partition) || orders.some(({ order_uid }) => uids.has(order_uid));
    if (parts.length === 0 || isRepeated || rows + more > maxRowsOfStatement) {
      parts.push([]);
      [partitions, uids, rows] = [new Set(), new Set(), 0];
    }
    parts.at(-1)?.push(save);
    partitions.add(range.partition);
    for (const { order_uid } of orders) uids.add(order_uid);
    rows += more;
  }
  return parts;
};
