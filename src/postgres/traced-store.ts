import type { Tracing } from '../observability/tracing/tracing.ts';
import type { SaveBatch } from './combined-saves.ts';
import type { Store } from './store.ts';

/** Spans of queries that save or find orders, within the caller's span. They hold no parameters. */

const query = <T>(tracing: Tracing, operation: 'INSERT' | 'SELECT', orders: number, run: () => Promise<T>) =>
  tracing.span(
    {
      name: `${operation} orders`,
      kind: 'client',
      attributes: {
        'db.system.name': 'postgresql',
        'db.operation.name': operation,
        'db.collection.name': 'orders',
        ...(orders > 1 && { 'db.operation.batch.size': orders }),
      },
    },
    run,
  );

export const traceStore = (tracing: Tracing, store: Store): Store => ({
  ...store,
  find: (uid) => query(tracing, 'SELECT', 1, () => store.find(uid)),
  findAll: (uids) => query(tracing, 'SELECT', uids.length, () => store.findAll(uids)),
  findOtherCases: (uids) => query(tracing, 'SELECT', uids.length, () => store.findOtherCases(uids)),
});

/** A span for each batch, in its own trace, though one statement may save several. */
export const traceSaves =
  (tracing: Tracing, saveBatch: SaveBatch): SaveBatch =>
  (batch) =>
    query(tracing, 'INSERT', batch.orders.length, () => saveBatch(batch));
