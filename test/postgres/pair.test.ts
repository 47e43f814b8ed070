/** PostgreSQL with a streaming standby: the choice of the server, lookups on the standby, and a failover. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgresPair } from '../../scripts/services/cluster.ts';
import { missing } from '../../scripts/services/postgres.ts';
import { createHealth } from '../../src/http/health.ts';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { createStandbyReads } from '../../src/lookup/standby.ts';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent } from '../support/database.ts';
import { until } from '../support/until.ts';

setDefaultTimeout(90_000);

const hasPostgres = missing().length === 0;
if (!hasPostgres) console.warn('No postgresql: the tests that need a standby are left out.');

if (hasPostgres)
  describe('a primary and its standby', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pair-'));
    const { primary, standby } = await startPostgresPair(dir);
    afterAll(async () => {
      await Promise.all([primary.stop(), standby.stop()]);
      await rm(dir, { recursive: true, force: true });
    });
    const open = (url: string, silenceTimeoutSeconds = 5) => {
      const sql = openDatabase({
        url,
        connections: 2,
        name: 'test',
        silenceTimeoutSeconds: silenceTimeoutSeconds,
      });
      return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) });
    };
    const at = (url: string) => new URL(url).host;
    /** A URL with the two servers in this order. */
    const both = (first: string, second: string, target?: string) =>
      Object.assign(new URL(first), {
        search: target ? `?target_session_attrs=${target}` : '',
      }).href.replace(at(first), `${at(first)},${at(second)}`);
    const portOf = async (url: string) => {
      await using sql = open(url);
      const [row] = await sql`select current_setting('port') as port`;
      return Number(row?.port);
    };
    const orderOf = (number: number) => buildOrder({ order_uid: `order-number-${number}` });
    {
      await using sql = open(primary.url);
      await migrate(sql, silent);
      await createStore(sql).save([orderOf(0)]);
    }

    test('of several servers the one that target_session_attrs demands is found, at any position', async () => {
      const [first, second] = [new URL(primary.url).port, new URL(standby.url).port].map(Number);
      for (const [target, port] of [
        [undefined, first],
        ['read-write', first],
        ['primary', first],
        ['read-only', second],
        ['standby', second],
        ['prefer-standby', second],
      ] as const)
        for (const url of [both(primary.url, standby.url, target), both(standby.url, primary.url, target)])
          expect([target, await portOf(url)]).toEqual([target, port as number]);
      expect(await portOf(both(standby.url, primary.url, 'any'))).toBe(second as number);
      await using alone = open(`${standby.url}?target_session_attrs=read-write`);
      const error = await alone`select 1`.then(
        () => undefined,
        (error) => error,
      );
      expect(reasonOf(error)).toBe('no server matches target_session_attrs (TARGET_SESSION_ATTRS)');
      expect(await portOf(`${primary.url}?target_session_attrs=prefer-standby`)).toBe(first as number);
    });

    test('an order that the standby does not have yet is found at the primary, and no lookup fails while the standby is down', async () => {
      await using writing = open(primary.url);
      await using reading = open(standby.url);
      const store = createStore(writing);
      const reads = createStandbyReads({ primary: store, standby: createStore(reading), log: silent });
      const lookup = createLookup({ memory: createMemoryCache(1), redis: undefined, store: reads });
      const find = async (number: number) => {
        const { document, steps } = await lookup.find(orderOf(number).order_uid);
        return [document !== undefined, steps.map(({ tier }) => tier).join()];
      };
      const found = [true, 'memory,postgres'];
      await until(() =>
        createStore(reading)
          .find(orderOf(0).order_uid)
          .catch(() => undefined),
      );
      expect(await find(0)).toEqual(found);
      expect(reads.counts()).toEqual({ found: 1, absent: 0, failed: 0 });

      await reading`select pg_wal_replay_pause()`;
      await store.save([orderOf(1), orderOf(2)]);
      expect(await createStore(reading).find(orderOf(1).order_uid)).toBeUndefined();
      expect(await find(1)).toEqual(found);
      expect(await find(99)).toEqual([false, 'memory,postgres']);
      // In the negative cache, for a second.
      expect(await find(99)).toEqual([false, 'memory']);
      expect(reads.counts()).toEqual({ found: 1, absent: 2, failed: 0 });
      await reading`select pg_wal_replay_resume()`;
      await until(() => createStore(reading).find(orderOf(2).order_uid));

      const health = createHealth({
        store,
        standby: reads.reason,
        redis: undefined,
        consumers: undefined,
        isWarm: () => true,
      });
      expect(await health()).toMatchObject({ status: 'ready', parts: { standby: { state: 'works' } } });
      standby.freeze();
      let longest = 0;
      await until(async () => {
        for (const number of [0, 1, 2]) {
          const begun = performance.now();
          expect((await find(number))[0]).toBe(true);
          longest = Math.max(longest, performance.now() - begun);
        }
        return reads.reason() !== undefined;
      });
      // Not the 5 s after which a silent connection is closed.
      expect(longest).toBeLessThan(3_500);
      expect(await health()).toMatchObject({ status: 'degraded', parts: { postgres: { state: 'works' } } });
      standby.thaw();
      // Found by the probe, without a lookup.
      await until(() => reads.reason() === undefined, 30_000);

      primary.freeze();
      await until(async () => (await find(1))[0], 30_000);
      expect(await health()).toMatchObject({ status: 'degraded', parts: { postgres: { state: 'away' } } });
      primary.thaw();
      await until(async () => (await health()).status === 'ready', 30_000);
      reads.close();
    });

    test('after a failover writes reach the new primary within 5 s', async () => {
      await using sql = open(both(primary.url, standby.url), 2);
      await using admin = open(standby.url);
      const store = createStore(sql);
      await store.save([orderOf(10)]);
      await primary.kill9();
      await admin`select pg_promote()`;
      const promoted = performance.now();
      await until(() =>
        store.save([orderOf(11)]).then(
          () => true,
          () => false,
        ),
      );
      expect(performance.now() - promoted).toBeLessThan(5_000);
      expect(await createStore(admin).find(orderOf(11).order_uid)).toBeString();
    });
  });
