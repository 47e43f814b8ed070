import postgres, { type Sql } from 'postgres';

/**
 * A pool of connections to PostgreSQL, opened as they are needed. A server that is away is tried again at most a
 * second later, so that its return is noticed at once. `name` is what `pg_stat_activity` shows.
 */
export const openDatabase = ({
  url,
  connections,
  name,
}: {
  url: string;
  connections: number;
  name: string;
}): Sql =>
  postgres(url, {
    max: connections,
    connect_timeout: 3,
    backoff: (attempt) => Math.min(0.1 * 2 ** attempt, 1),
    onnotice: () => {},
    connection: { application_name: `order-lookup ${name}` },
  });
