import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { startPostgresPair } from '../../../scripts/services/cluster.ts';
import { until } from '../until.ts';

const directory = join(import.meta.dir, '../../../.services');

/** A primary of PostgreSQL and its standby, for one test: a failover cannot be undone. */
export const openPair = async () => {
  const dir = mkdtempSync(join(directory, 'faults-pair-'));
  const { primary, standby } = await startPostgresPair(dir);
  const ask = async <T>(url: string, question: (sql: postgres.Sql) => Promise<T>): Promise<T> => {
    const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice() {} });
    return question(sql).finally(() => sql.end({ timeout: 1 }));
  };
  const replicating = () => ask(primary.url, (sql) => sql`select sync_state from pg_stat_replication`);
  return {
    primary,
    standby,
    ask,
    /** From now on each commit waits for the standby. */
    async synchronise() {
      await ask(primary.url, async (sql) => {
        await sql`alter system set synchronous_standby_names = 'standby'`;
        await sql`select pg_reload_conf()`;
      });
      await until(async () => (await replicating()).some(({ sync_state }) => sync_state === 'sync'));
    },
    /** The standby stops receiving. */
    async cutStandby() {
      await ask(standby.url, async (sql) => {
        await sql`alter system set primary_conninfo = ''`;
        await sql`select pg_reload_conf()`;
      });
      await until(async () => (await replicating()).length === 0);
    },
    promote: () => ask(standby.url, (sql) => sql`select pg_promote()`),
    async [Symbol.asyncDispose]() {
      await Promise.all([primary.kill9(), standby.kill9()]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
};

/** Ends every connection of the program, as a restart or a firewall does. */
export const endBackends = (sql: postgres.Sql) =>
  sql`select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`;
