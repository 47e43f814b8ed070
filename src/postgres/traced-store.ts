import type { Tracing } from '../observability/tracing/tracing.ts';
import type { Store } from './store.ts';

/** A span for each query that saves or finds orders, within the caller's span. It holds no parameters. */
export const traceStore = (tracing: Tracing, store: Store): Store => {
  const query = <T>(operation: 'INSERT' | 'SELECT', orders: number, run: () => Promise<T>) =>
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
  return {
    ...store,
    save: (orders) => query('INSERT', orders.length, () => store.save(orders)),
    saveBatch: (orders, ...rest) => query('INSERT', orders.length, () => store.saveBatch(orders, ...rest)),
    find: (uid) => query('SELECT', 1, () => store.find(uid)),
    findAll: (uids) => query('SELECT', uids.length, () => store.findAll(uids)),
    findOtherCases: (uids) => query('SELECT', uids.length, () => store.findOtherCases(uids)),
  };
};
