/**
 * Nothing is lost, whatever fails: each test injects a fault under a steady stream, with 1 % of the orders sent twice and
 * 1 % of the messages bad, and then expects every order stored, complete and as it was sent, every bad message in the
 * dead-letter topic and nothing else there, and every offset committed.
 *
 * FAULTS_SEED repeats the random choices of a run.
 */
import { afterAll, expect, test } from 'bun:test';
import postgres from 'postgres';
import { sleep } from '../../src/async/retry.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { closeServices, openScenario, type Scenario } from '../support/faults/scenario.ts';
import { createRandom } from '../support/faults/stream.ts';
import { until } from '../support/until.ts';

const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 1_000_000));
console.log(`FAULTS_SEED=${seed}`);
const random = createRandom(seed);
const limit = 240_000;

afterAll(closeServices);

/** Waits until `orders` more orders are stored; the stream continues. */
const progress = async (scenario: Scenario, orders: number) => {
  const goal = (await scenario.stored()) + orders;
  await until(async () => (await scenario.stored()) >= goal, 60_000);
};

for (const name of ['kafka', 'postgres', 'redis'] as const) {
  test(
    `nothing is lost when ${name} is killed and comes back`,
    async () => {
      await using scenario = await openScenario();
      const replica = await scenario.replica();
      const stream = await scenario.stream(seed);
      await progress(scenario, 300);
      await scenario.services[name].kill9();
      expect((await fetch(`${replica.url}/healthz`)).status).toBe(200);
      await sleep(500 + random() * 3_000);
      await scenario.services[name].start();
      await progress(scenario, 300);
      await scenario.settle(await stream.stop());
      expect(await replica.stop()).toBe(0);
    },
    limit,
  );

  test(
    `nothing is lost when ${name} is frozen for 20 s`,
    async () => {
      await using scenario = await openScenario();
      const replica = await scenario.replica();
      const stream = await scenario.stream(seed + 1);
      await progress(scenario, 300);
      scenario.services[name].freeze();
      await sleep(20_000);
      expect((await fetch(`${replica.url}/healthz`)).status).toBe(200);
      scenario.services[name].thaw();
      await progress(scenario, 300);
      await scenario.settle(await stream.stop());
      expect(await replica.stop()).toBe(0);
    },
    limit,
  );

  test(
    `nothing is lost when ${name} is down at the start`,
    async () => {
      await using scenario = await openScenario();
      await scenario.services[name].stop();
      const replica = await scenario.replica();
      expect((await fetch(`${replica.url}/healthz`)).status).toBe(200);
      await sleep(1_000 + random() * 2_000);
      await scenario.services[name].start();
      const stream = await scenario.stream(seed + 2);
      await progress(scenario, 300);
      await scenario.settle(await stream.stop());
      expect(await replica.stop()).toBe(0);
    },
    limit,
  );
}

test(
  'expired orders are deleted though postgres is killed, and then the process that deletes; nothing else is lost',
  async () => {
    await using scenario = await openScenario();
    const retention = { ORDER_RETENTION_DAYS: '30', DLQ_RETENTION_DAYS: '30' };
    const make = createOrderMaker({ seed, now: () => Date.now() - 40 * 86_400_000 });
    const old = Array.from({ length: 6_000 }, make);
    const store = createStore(scenario.database.sql);
    for (let at = 0; at < old.length; at += 500) await store.save(old.slice(at, at + 500));
    const uids = old.map((order) => order.order_uid);
    const left = async () => (await store.findAll(uids)).size;
    const deleting = async (orders: number) => {
      const goal = (await left()) - orders;
      expect(goal).toBeGreaterThan(0);
      await until(async () => (await left()) <= goal, 120_000);
    };

    const replicas = [await scenario.replica(retention), await scenario.replica(retention)];
    const stream = await scenario.stream(seed + 4);
    await deleting(200);
    await scenario.services.postgres.kill9();
    await scenario.services.postgres.start();
    await deleting(200);
    const deletedBy = async ({ url }: { url: string }) =>
      Number(/^orders_expired_total (\d+)/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1]);
    const [one, other] = await Promise.all(replicas.map(deletedBy));
    const [killed, kept] = (one ?? 0) > (other ?? 0) ? replicas : replicas.toReversed();
    await killed?.kill9();
    await until(async () => (await left()) === 0, 180_000);
    await scenario.settle(await stream.stop());
    expect(await kept?.stop()).toBe(0);
  },
  limit,
);

/** Errors of PostgreSQL while it cannot store orders; each lasts until the returned function is called. */
const refusals: Record<string, (scenario: Scenario) => Promise<() => Promise<unknown>>> = {
  'is read-only': async ({ database: { sql }, disconnectAll }) => {
    const [row] = await sql<{ name: string }[]>`select current_database() as name`;
    await sql.unsafe(`alter database ${row?.name} set default_transaction_read_only = on`);
    await disconnectAll();
    return async () => {
      await sql.unsafe(
        `set transaction_read_only = off; alter database ${row?.name} reset default_transaction_read_only`,
      );
      await disconnectAll();
    };
  },
  'has no connection left': async ({ services, disconnectAll }) => {
    const taken = postgres(services.postgres.gives.DATABASE_URL as string, { max: 200, connect_timeout: 2 });
    await disconnectAll();
    await Promise.allSettled(Array.from({ length: 200 }, () => taken`select pg_sleep(0.2)`));
    return () => taken.end({ timeout: 0 });
  },
  'is locked': async ({ database: { sql } }) => {
    const locked = await sql.reserve();
    await locked`begin`;
    await locked`lock table orders in access exclusive mode`;
    return async () => {
      await locked`rollback`;
      locked.release();
    };
  },
  'has a full disk': (scenario) => raising(scenario, 'disk_full', 1),
  'runs out of memory': (scenario) => raising(scenario, 'out_of_memory', 1),
  'meets deadlocks': (scenario) => raising(scenario, 'deadlock_detected', 0.3),
  'cannot serialize': (scenario) => raising(scenario, 'serialization_failure', 0.3),
};

/** A trigger that raises the error for this share of the statements. */
const raising = async ({ database: { sql } }: Scenario, error: string, share: number) => {
  await sql.unsafe(`
    create or replace function refuse() returns trigger language plpgsql as $$
    begin
      if random() < ${share} then raise exception using errcode = '${error}', message = '${error}'; end if;
      return null;
    end $$;
    create trigger refuse before insert on orders for each statement execute function refuse();`);
  return () => sql`drop trigger refuse on orders`;
};

test(
  `nothing is lost and nothing good becomes a dead letter while PostgreSQL ${Object.keys(refusals).join(', ')}`,
  async () => {
    await using scenario = await openScenario();
    const replica = await scenario.replica();
    const stream = await scenario.stream(seed + 5);
    for (const begin of Object.values(refusals)) {
      await progress(scenario, 100);
      const end = await begin(scenario);
      await sleep(1_500 + random() * 1_500);
      await end();
    }
    await progress(scenario, 100);
    await scenario.settle(await stream.stop());
    expect(await replica.stop()).toBe(0);
  },
  limit,
);

test(
  'nothing is lost when the program is killed twenty times',
  async () => {
    await using scenario = await openScenario();
    const stream = await scenario.stream(seed + 3);
    for (let kill = 0; kill < 20; kill++) {
      const replica = await scenario.replica();
      // Sometimes before it has joined the group.
      if (kill % 5 > 0) await progress(scenario, 1);
      await sleep(random() * 400);
      await replica.kill9();
    }
    const last = await scenario.replica();
    await scenario.settle(await stream.stop());
    expect(await last.stop()).toBe(0);
  },
  limit * 2,
);

test(
  'nothing is lost when, of two replicas, one is killed, one added, one frozen beyond its session timeout, one stopped',
  async () => {
    await using scenario = await openScenario();
    const stream = await scenario.stream(seed + 4);
    const first = await scenario.replica();
    const second = await scenario.replica();
    await progress(scenario, 500);
    await second.kill9();
    await progress(scenario, 500);
    const third = await scenario.replica();
    await progress(scenario, 500);
    // In the middle of a batch, and for longer than the group waits: another member has its partitions when it wakes.
    first.freeze();
    await progress(scenario, 500);
    await sleep(9_000);
    first.thaw();
    await progress(scenario, 500);
    expect(await third.stop()).toBe(0);
    await progress(scenario, 500);
    await scenario.settle(await stream.stop());
    expect(await first.stop()).toBe(0);
  },
  limit,
);
