/** Nothing is lost when the program is killed, frozen or replaced, as in `useServices`. */
import { expect, test } from 'bun:test';
import { sleep } from '../../src/async/retry.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { progress, useServices } from '../support/faults/use-services.ts';
import { until } from '../support/until.ts';

const { seed, random, openScenario } = useServices('faults-programs');
const limit = 400_000;

// Neither harms a service, and both mostly wait for a session of the group to end: so they run at once.
test.concurrent(
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

test.concurrent(
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
