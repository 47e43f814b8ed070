import type { Sql } from 'postgres';
import type { Readings } from '../observability/metrics/reading.ts';
import { poolOf } from './pool.ts';

/** Metrics of a pool of at most `connections` connections. */
export const addPoolMetrics = ({ gauge }: Readings, sql: Sql, connections: number) => {
  gauge({
    name: 'orders_postgres_pool_connections',
    help: 'Connections to PostgreSQL by state',
    labels: ['state'],
    read() {
      const { connecting, idle, busy } = poolOf(sql);
      return [
        [{ state: 'connecting' }, connecting],
        [{ state: 'idle' }, idle],
        [{ state: 'busy' }, busy],
      ];
    },
  });
  gauge({
    name: 'orders_postgres_pool_connections_max',
    help: 'Maximum connections to PostgreSQL (DATABASE_POOL)',
    read: () => connections,
  });
  gauge({
    name: 'orders_postgres_pool_waiting_queries',
    help: 'Queries waiting for a connection or queued behind another query',
    read: () => poolOf(sql).waiting,
  });
};
