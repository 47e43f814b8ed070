/** Nothing is lost when Kafka, PostgreSQL or Redis is killed, frozen, absent or refuses, as in `useServices`. */
import { expect, test } from 'bun:test';
import postgres from 'postgres';
import { sleep } from '../../src/async/retry.ts';
import type { Scenario } from '../support/faults/scenario.ts';
import { progress, useServices } from '../support/faults/use-services.ts';

const { seed, random, openScenario } = useServices('faults-services');
const limit = 400_000;

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
