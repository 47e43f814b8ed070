/**
 * Nothing is lost, whatever fails: each test hurts something under a steady stream, with 1 % of the orders sent twice and
 * 1 % of the messages bad, and then wants every order stored, whole and as it was sent, every bad message in the
 * dead-letter topic and nothing else there, and every offset committed.
 *
 * FAULTS_SEED repeats the random choices of a run.
 */
import { afterAll, expect, test } from 'bun:test';
import { pause } from '../../src/retry.ts';
import { until } from '../until.ts';
import { createRandom } from './stream.ts';
import { closeServices, openWorld } from './world.ts';

const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 1_000_000));
console.log(`FAULTS_SEED=${seed}`);
const random = createRandom(seed);
const limit = 240_000;

afterAll(closeServices);

/** The stream goes on until so many more orders are stored. */
const progress = async (world: Awaited<ReturnType<typeof openWorld>>, orders: number) => {
  const goal = (await world.stored()) + orders;
  await until(async () => (await world.stored()) >= goal, 60_000);
};

for (const name of ['kafka', 'postgres', 'redis'] as const) {
  test(
    `nothing is lost when ${name} is killed and comes back`,
    async () => {
      await using world = await openWorld();
      const replica = await world.replica();
      const stream = await world.stream(seed);
      await progress(world, 300);
      await world.services[name].kill9();
      expect((await fetch(`${replica.url}/healthz`)).status).toBe(200);
      await pause(500 + random() * 3_000);
      await world.services[name].start();
      await progress(world, 300);
      await world.settle(await stream.stop());
      expect(await replica.stop()).toBe(0);
    },
    limit,
  );

  test(
    `nothing is lost when ${name} is frozen for 20 s`,
    async () => {
      await using world = await openWorld();
      const replica = await world.replica();
      const stream = await world.stream(seed + 1);
      await progress(world, 300);
      world.services[name].freeze();
      await pause(20_000);
      expect((await fetch(`${replica.url}/healthz`)).status).toBe(200);
      world.services[name].thaw();
      await progress(world, 300);
      await world.settle(await stream.stop());
      expect(await replica.stop()).toBe(0);
    },
    limit,
  );

  test(
    `nothing is lost when ${name} is down at the start`,
    async () => {
      await using world = await openWorld();
      await world.services[name].stop();
      const replica = await world.replica();
      expect((await fetch(`${replica.url}/healthz`)).status).toBe(200);
      await pause(1_000 + random() * 2_000);
      await world.services[name].start();
      const stream = await world.stream(seed + 2);
      await progress(world, 300);
      await world.settle(await stream.stop());
      expect(await replica.stop()).toBe(0);
    },
    limit,
  );
}

test(
  'nothing is lost when the program is killed twenty times',
  async () => {
    await using world = await openWorld();
    const stream = await world.stream(seed + 3);
    for (let kill = 0; kill < 20; kill++) {
      const replica = await world.replica();
      // Now and then before it has joined the group.
      if (kill % 5 > 0) await progress(world, 1);
      await pause(random() * 400);
      await replica.kill9();
    }
    const last = await world.replica();
    await world.settle(await stream.stop());
    expect(await last.stop()).toBe(0);
  },
  limit * 2,
);

test(
  'nothing is lost when of two replicas one is killed, one added, one frozen beyond its session, one stopped',
  async () => {
    await using world = await openWorld();
    const stream = await world.stream(seed + 4);
    const first = await world.replica();
    const second = await world.replica();
    await progress(world, 500);
    await second.kill9();
    await progress(world, 500);
    const third = await world.replica();
    await progress(world, 500);
    // In the middle of a batch, and for longer than the group waits: its partitions are somebody else's when it wakes.
    first.freeze();
    await progress(world, 500);
    await pause(9_000);
    first.thaw();
    await progress(world, 500);
    expect(await third.stop()).toBe(0);
    await progress(world, 500);
    await world.settle(await stream.stop());
    expect(await first.stop()).toBe(0);
  },
  limit,
);
