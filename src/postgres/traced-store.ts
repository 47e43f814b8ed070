import type { Tracing } from '../observability/tracing/tracing.ts';
import type { Store } from './store.ts';

/** A span for each query that stores or finds orders, within the span that asks for it. It has no parameters. */
export const traceStore = (tracing: Tracing, store: Store): Store => {
  const query = <T>(operation: 'INSERT' | 'SELECT', orders: number, ask: () => Promise<T>) =>
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
      ask,
    );
  return {
    ...store,
    save: (orders) => query('INSERT', orders.length, () => store.save(orders)),
    saveBatch: (orders, ...step) => query('INSERT', orders.length, () => store.saveBatch(orders, ...step)),
    find: (uid) => query('SELECT', 1, () => store.find(uid)),
    findAll: (uids) => query('SELECT', uids.length, () => store.findAll(uids)),
  };
};
