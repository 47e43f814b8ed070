/**
 * Nothing is lost in a random sequence of faults of a cluster, under a stream with two replicas of the
 * program. FAULTS_SEED repeats a sequence, FAULTS_ROUNDS is its length.
 */
import { afterAll, beforeAll, test } from 'bun:test';
import { createRandom } from '../stream.ts';
import { endBackends, openPair } from './pair.ts';
import { printReport } from './report.ts';
import { type Cluster, closeCluster, openCluster, openWorld, type World } from './world.ts';

const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 1_000_000));
const rounds = Number(process.env.FAULTS_ROUNDS ?? 10);
const perSecond = 300;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await openCluster();
}, 120_000);
afterAll(async () => {
  printReport();
  await closeCluster(cluster);
}, 120_000);

type Pair = Awaited<ReturnType<typeof openPair>>;
type Fault = (world: World, random: () => number, pair: Pair) => Promise<unknown>;

/** Whose standby has taken over: that can happen once. */
const promoted = new WeakSet<Pair>();

const anyOf = <T>(list: readonly T[], random: () => number) => list[Math.floor(random() * list.length)] as T;

const faults: Record<string, Fault> = {
  async 'a broker is killed'({ brokers, topic }, random) {
    const id = anyOf(brokers.ids, random);
    await brokers.node(id).kill9();
    await Bun.sleep(1_000 + random() * 15_000);
    await brokers.node(id).start();
    await brokers.settle(topic);
  },
  async 'a broker is frozen'({ brokers, topic }, random) {
    const id = anyOf(brokers.ids, random);
    brokers.node(id).freeze();
    await Bun.sleep(1_000 + random() * 20_000);
    brokers.node(id).thaw();
    await brokers.settle(topic);
  },
  async 'a broker is restarted in order'({ brokers, topic }, random) {
    await brokers.restart(anyOf(brokers.ids, random));
    await brokers.settle(topic);
  },
  async 'partitions move'({ brokers, topic }, random) {
    for (let turn = 0; turn < 3; turn++) {
      await brokers.move(topic, [Math.floor(random() * 12), Math.floor(random() * 12)]);
    }
  },
  async 'a replica is killed and replaced'(world, random) {
    const replica = anyOf(
      world.replicas.filter((one) => one.running()),
      random,
    );
    await replica.kill9();
    await Bun.sleep(random() * 3_000);
    await world.replica();
  },
  async 'a replica is stopped and replaced'(world, random) {
    const replica = anyOf(
      world.replicas.filter((one) => one.running()),
      random,
    );
    await replica.stop();
    await world.replica();
  },
  async 'a replica is frozen'(world, random) {
    const replica = anyOf(
      world.replicas.filter((one) => one.running()),
      random,
    );
    replica.freeze();
    await Bun.sleep(1_000 + random() * 10_000);
    replica.thaw();
  },
  async 'connections to PostgreSQL are ended'({ ask, named }) {
    await ask(named, endBackends);
  },
  async 'PostgreSQL is killed and comes back'(_, random, pair) {
    const server = promoted.has(pair) ? pair.standby : pair.primary;
    await server.kill9();
    await Bun.sleep(random() * 5_000);
    await server.start();
  },
  async 'an asynchronous standby that is behind takes over'(world, random, pair) {
    if (promoted.has(pair)) return;
    await pair.cutStandby();
    await Bun.sleep(random() * 4_000);
    await pair.primary.kill9();
    await pair.promote();
    promoted.add(pair);
    world.pointDatabaseTo(pair.standby.url);
  },
};

test(
  `nothing is lost in ${rounds} random faults (FAULTS_SEED=${seed})`,
  async () => {
    const random = createRandom(seed);
    await using pair = await openPair();
    await using world = await openWorld({
      cluster,
      database: pair,
      name: `${rounds} random faults, seed ${seed}`,
    });
    await world.replica();
    await world.replica();
    const feed = world.feed(seed);
    feed.start(perSecond);
    await world.progress(500);
    for (let round = 0; round < rounds; round++) {
      const name = anyOf(Object.keys(faults), random);
      console.log(`${new Date().toISOString()} ${name}`);
      await faults[name]?.(world, random, pair);
      await world.progress(200, 180_000);
    }
    await world.settle(await feed.stop(), { within: 180_000 });
  },
  rounds * 120_000 + 300_000,
);
