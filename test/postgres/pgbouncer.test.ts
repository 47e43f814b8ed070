/** PgBouncer in front of PostgreSQL: Debian's, which may be too old to carry prepared statements from server to server. */
import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createErasures } from '../../src/postgres/erasures.ts';
import { createExpiry, expiryIndex } from '../../src/postgres/expiry.ts';
import { keepIndexes } from '../../src/postgres/indexes.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createRetention } from '../../src/retention/retention.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent, testDatabase, until } from '../support/kafka-and-postgres.ts';

setDefaultTimeout(60_000);

const program = Bun.which('pgbouncer') ?? Bun.which('/usr/sbin/pgbouncer');
if (!program) console.warn('No pgbouncer: its tests are left out.');

const freePort = () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

/** A PgBouncer for the database of this URL, with two backends, so that in transaction mode a client gets both. */
const startPgBouncer = async (databaseUrl: string, mode: string) => {
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  const dir = await mkdtemp(join(tmpdir(), 'pgbouncer-'));
  await chmod(dir, 0o755);
  const own = freePort();
  const name = pathname.slice(1);
  const login = `user=${username} password=${decodeURIComponent(password)}`;
  const lines = [
    '[databases]',
    `${name} = host=${hostname} port=${port} dbname=${name} ${login}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${own}`,
    'unix_socket_dir =',
    'auth_type = any',
    `pool_mode = ${mode}`,
    'default_pool_size = 4',
    'server_round_robin = 1',
  ];
  await Bun.write(join(dir, 'pgbouncer.ini'), `${lines.join('\n')}\n`);
  // PgBouncer refuses to run as root.
  const user =
    process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const child = Bun.spawn([...user, program ?? '', join(dir, 'pgbouncer.ini')], {
    stdout: 'ignore',
    stderr: 'pipe',
  });
  const url = Object.assign(new URL(databaseUrl), { hostname: '127.0.0.1', port: String(own) }).href;
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill('SIGINT');
      await child.exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
};

if (program)
  describe.each(['session', 'transaction'])('PgBouncer in %s mode', (mode) => {
    test('tables are created, and orders are stored and found by several connections at once', async () => {
      await using database = await testDatabase({ migrated: false });
      await using pooler = await startPgBouncer(database.url, mode);
      const sql = openDatabase({ url: pooler.url, connections: 4, name: 'test', silenceTimeoutSeconds: 5 });
      await until(() => sql`select 1`.then(Boolean, () => false));
      await migrate(sql, silent);
      const store = createStore(sql);
      const failures: string[] = [];
      const keepOn = async <T>(work: () => Promise<T>): Promise<T> => {
        for (;;) {
          try {
            return await work();
          } catch (error) {
            // Tries again, as ingest does, and clients of lookups may.
            failures.push(String((error as { code?: string }).code));
            if (failures.length > 20) throw error;
          }
        }
      };
      const uids = Array.from({ length: 60 }, (_, number) => `order-number-${number}`);
      for (let round = 0; round < 2; round++) {
        await Promise.all(uids.map((order_uid) => keepOn(() => store.save([buildOrder({ order_uid })]))));
        for (const uid of uids) expect(await keepOn(() => store.find(uid))).toBeString();
        expect((await keepOn(() => store.findAll(uids))).size).toBe(uids.length);
      }
      expect(failures).toEqual([]);
      // The lock of an erasure lasts as long as its transaction, and other processes poll, so they need no session.
      await createErasures(sql).erase(uids.slice(0, 3));
      expect(await store.latestErasure()).toBe(3n);
      expect(await store.findMissing(uids)).toEqual(uids.slice(0, 3));
      // The lease of the retention is a row.
      await keepIndexes(
        sql,
        { known: [expiryIndex], needed: new Set([expiryIndex.name]) },
        silent,
        new AbortController().signal,
      );
      const ended = new AbortController();
      const all = [1, 2].map(() => createRetention({ expiry: createExpiry(sql), days: 1, log: silent }));
      await Promise.all(all.map(({ run }) => run(ended.signal)));
      expect(all.map(({ deleted }) => deleted()).toSorted()).toEqual([0, uids.length - 3]);
      await sql.end({ timeout: 1 });
    });

    test('a query that times out frees its backend', async () => {
      await using database = await testDatabase({ connections: 2 });
      await using pooler = await startPgBouncer(database.url, mode);
      const sql = openDatabase({ url: pooler.url, connections: 2, name: 'pooled', silenceTimeoutSeconds: 1 });
      await until(() => sql`select 1`.then(Boolean, () => false));
      await database.sql.begin(async (tx) => {
        await tx`lock table orders`;
        const error = await createStore(sql)
          .find('some-order')
          .catch((error) => error);
        expect(error).toMatchObject({ code: 'ANSWER_TIMEOUT' });
        await until(async () => {
          const waiting = await tx`
            select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
          return waiting.length === 0;
        });
      });
      await sql.end({ timeout: 1 });
    });
  });
