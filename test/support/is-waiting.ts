import type { Sql } from 'postgres';

/** Whether a query of this database that has the text waits for a lock. */
export const isWaiting = async (sql: Sql, text: string): Promise<boolean> => {
  const [row] = await sql`
    select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like ${`%${text}%`} and pid <> pg_backend_pid()`;
  return row !== undefined;
};
