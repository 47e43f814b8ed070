/**
 * Nothing is lost when the primary of PostgreSQL changes behind one name, and what an asynchronous failover or a restored
 * backup does not have is read from Kafka again, by itself; each test prints a row of a table at the end.
 *
 * FAULTS_SEED repeats the random choices of a run.
 */
import { expect, test } from 'bun:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endBackends, openPair } from '../../support/cluster/pair.ts';
import { expectWithin } from '../../support/cluster/report.ts';
import { useCluster } from '../../support/cluster/use-cluster.ts';
import { until } from '../../support/until.ts';

const limit = 400_000;
const perSecond = 300;
const backWithinMs = 60_000;

const { seed, openScenario } = useCluster();

test(
  'nothing is lost when the primary is stopped and its standby takes its name',
  async () => {
    await using pair = await openPair();
    await using scenario = await openScenario({ database: pair, name: 'PostgreSQL: planned failover' });
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(1_000);
    scenario.watch.reset();
    await pair.primary.stop();
    await pair.promote();
    scenario.pointDatabaseTo(pair.standby.url);
    await scenario.progress(1_000);
    const row = await scenario.settle(await feed.stop());
    expectWithin(row.longest, 15_000);
  },
  limit,
);

test(
  'what an asynchronous standby had not received when it took over is read again by itself',
  async () => {
    await using pair = await openPair();
    await using scenario = await openScenario({
      database: pair,
      name: 'PostgreSQL: asynchronous standby cut off, primary killed, standby promoted',
    });
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(2_000);
    await pair.cutStandby();
    // Stored and committed, but only on the primary.
    await scenario.progress(600);
    const { committed } = scenario;
    const before = await committed();
    await until(async () => (await committed()) > before);
    scenario.watch.reset();
    await pair.primary.kill9();
    await pair.promote();
    scenario.pointDatabaseTo(pair.standby.url);
    await scenario.progress(1_000);
    const row = await scenario.settle(await feed.stop());
    expectWithin({ ms: row.settledMs, late: row.longest.late }, backWithinMs);
  },
  limit,
);

test(
  'what a restored older backup does not have is read again by itself, under the running program',
  async () => {
    await using pair = await openPair();
    await using scenario = await openScenario({
      database: pair,
      name: 'PostgreSQL: an older dump restored under the running program',
    });
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(1_000);
    const url = scenario.on(pair.primary.url);
    const dump = join(tmpdir(), `${scenario.topic}.dump`);
    await run(['pg_dump', '--format=custom', `--file=${dump}`, url]);
    await scenario.progress(2_000);
    scenario.watch.reset();
    // What it drops is in use: a deadlock may choose it, and it is run again.
    const restore = ['pg_restore', '--clean', '--if-exists', '--single-transaction', `--dbname=${url}`, dump];
    await until(
      () =>
        run(restore).then(
          () => true,
          () => false,
        ),
      60_000,
    );
    await Bun.file(dump).delete();
    await scenario.progress(100);
    const row = await scenario.settle(await feed.stop());
    expectWithin({ ms: row.settledMs, late: row.longest.late }, backWithinMs);
  },
  limit,
);

test(
  'nothing is lost when a synchronous standby is cut off, saves are interrupted and repeated, and then the standby is promoted',
  async () => {
    await using pair = await openPair();
    await using scenario = await openScenario({
      database: pair,
      name: 'PostgreSQL: synchronous standby, double failure',
    });
    await scenario.replica();
    const feed = scenario.feed(seed);
    // Small batches: of a large one the order_uids alone are a write, which waits for the standby.
    feed.start(80);
    await scenario.progress(200);
    await pair.synchronise();
    await scenario.progress(100);
    scenario.watch.reset();
    await pair.cutStandby();
    for (let round = 0; round < 6; round++) {
      // Saves hang, as no standby confirms them; when they are interrupted, their orders are on the primary only, and are found there.
      await Bun.sleep(1_000);
      await pair.ask(scenario.on(pair.primary.url), endBackends);
    }
    await Bun.sleep(1_000);
    await pair.primary.kill9();
    await pair.promote();
    await pair.ask(pair.standby.url, async (sql) => {
      await sql`alter system reset synchronous_standby_names`;
      await sql`select pg_reload_conf()`;
    });
    scenario.pointDatabaseTo(pair.standby.url);
    await scenario.progress(200);
    const row = await scenario.settle(await feed.stop());
    expectWithin({ ms: row.settledMs, late: row.longest.late }, backWithinMs);
  },
  limit,
);

test(
  'connections to a read-only server are closed once the name resolves to the primary again',
  async () => {
    await using pair = await openPair();
    await using scenario = await openScenario({
      database: pair,
      name: 'PostgreSQL: the name stands for a read-only standby for 5 s',
    });
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(1_000);
    scenario.watch.reset();
    scenario.pointDatabaseTo(pair.standby.url);
    await Bun.sleep(5_000);
    scenario.pointDatabaseTo(pair.primary.url, { cut: false });
    const begun = Date.now();
    const stored = () =>
      pair.ask(scenario.on(pair.primary.url), (sql) => sql`select count(*)::int as count from orders`);
    const before = (await stored())[0]?.count;
    await until(async () => (await stored())[0]?.count > before, 120_000);
    const storedAfter = Date.now() - begun;
    const row = await scenario.settle(await feed.stop());
    expectWithin({ ms: storedAfter, late: row.longest.late }, 15_000);
    expect(row.reasons.join()).toMatch(/read-only|25006/);
  },
  limit,
);

/** Runs a command and waits for its end; rejects with its errors if it fails. */
const run = async (cmd: string[]) => {
  const child = Bun.spawn(cmd, { stdout: 'ignore', stderr: 'pipe' });
  const error = await Bun.readableStreamToText(child.stderr);
  if ((await child.exited) !== 0) throw new Error(`${cmd[0]}: ${error}`);
};
