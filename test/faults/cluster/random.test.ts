/**
 * Nothing is lost in a random sequence of faults of a cluster, under a stream with two replicas of the
 * program. FAULTS_SEED repeats a sequence, FAULTS_ROUNDS is its length.
 */
import { test } from 'bun:test';
import { endBackends, openPair } from '../../support/cluster/pair.ts';
import type { Scenario } from '../../support/cluster/scenario.ts';
import { useCluster } from '../../support/cluster/use-cluster.ts';
import { createRandom } from '../../support/random.ts';

const rounds = Number(process.env.FAULTS_ROUNDS ?? 10);
const perSecond = 300;

const { seed, openScenario } = useCluster();

type Pair = Awaited<ReturnType<typeof openPair>>;
type Fault = (scenario: Scenario, random: () => number, pair: Pair) => Promise<unknown>;

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
  async 'a replica is killed and replaced'(scenario, random) {
    const replica = anyOf(
      scenario.replicas.filter((one) => one.running()),
      random,
    );
    await replica.kill9();
    await Bun.sleep(random() * 3_000);
    await scenario.replica();
  },
  async 'a replica is stopped and replaced'(scenario, random) {
    const replica = anyOf(
      scenario.replicas.filter((one) => one.running()),
      random,
    );
    await replica.stop();
    await scenario.replica();
  },
  async 'a replica is frozen'(scenario, random) {
    const replica = anyOf(
      scenario.replicas.filter((one) => one.running()),
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
  async 'an asynchronous standby that is behind takes over'(scenario, random, pair) {
    if (promoted.has(pair)) return;
    await pair.cutStandby();
    await Bun.sleep(random() * 4_000);
    await pair.primary.kill9();
    await pair.promote();
    promoted.add(pair);
    scenario.pointDatabaseTo(pair.standby.url);
  },
};

test(
  `nothing is lost in ${rounds} random faults (FAULTS_SEED=${seed})`,
  async () => {
    const random = createRandom(seed);
    await using pair = await openPair();
    await using scenario = await openScenario({
      database: pair,
      name: `${rounds} random faults, seed ${seed}`,
    });
    await scenario.replica();
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(500);
    for (let round = 0; round < rounds; round++) {
      const name = anyOf(Object.keys(faults), random);
      console.log(`${new Date().toISOString()} ${name}`);
      await faults[name]?.(scenario, random, pair);
      await scenario.progress(200, 180_000);
    }
    await scenario.settle(await feed.stop(), { within: 180_000 });
  },
  rounds * 120_000 + 300_000,
);
