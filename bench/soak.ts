/**
 * Ten minutes of lookups at half the maximum rate while new orders arrive: memory has to stay flat. Most lookups are for a thousand
 * orders, one in ten for nine thousand others, which evict those from the cache, and one in a hundred for no order, so that every
 * tier answers.
 *
 *   bun --env-file=.services/env bench/soak.ts [minutes]
 *
 * Needs wrk, KAFKA_BROKERS, DATABASE_URL, whose user may create a database, REDIS_URL, whose `{orders}:*` keys it overwrites;
 * Linux, for the memory. Ends with status 1 if memory has grown.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase, uniqueName } from '../test/support/database.ts';
import { startReplica } from '../test/support/replica.ts';

const minutes = Number(process.argv[2] ?? 10);
/** Few for the maximum rate, as in the other benchmarks; many with delays for half of it, as wrk's delays are whole milliseconds. */
const [fewConnections, manyConnections] = [32, 256];
const sampleIntervalMs = 5_000;
/** Largest allowed ratio of the mean of the last third to that of the middle third; garbage collection causes some variation. */
const maxGrowth = 1.05;

const { KAFKA_BROKERS, DATABASE_URL, REDIS_URL } = process.env;
if (!KAFKA_BROKERS || !DATABASE_URL || !REDIS_URL)
  throw new Error('Set KAFKA_BROKERS, DATABASE_URL and REDIS_URL: bun run services up');

const database = await createDatabase(DATABASE_URL);
const orders = Array.from({ length: 10_000 }, createOrderMaker({ seed: 1 }));
const store = createStore(database.sql);
for (let first = 0; first < orders.length; first += 1_000)
  await store.save(orders.slice(first, first + 1_000));

const topic = uniqueName('soak');
const environment = { KAFKA_BROKERS, KAFKA_TOPIC: topic, KAFKA_DLQ_TOPIC: `${topic}_dlq`, REDIS_URL };
const replica = await startReplica({
  ...environment,
  KAFKA_GROUP_ID: topic,
  DATABASE_URL: database.url,
  LIVE_FEED: 'true',
});
const producer = Bun.spawn([process.execPath, 'producer.ts', '--rate', '100', '--quiet'], {
  cwd: join(import.meta.dir, '..'),
  env: { ...process.env, ...environment },
  stdout: 'ignore',
});

const uids = orders.map(({ order_uid }) => order_uid);
const script = join(tmpdir(), `soak-${process.pid}.lua`);
/** `pause`: delay of a connection before each request, in ms. Even a delay of 0 lowers wrk's maximum rate. */
const write = (pause?: number) =>
  Bun.write(
    script,
    `local all = {${uids.map((uid) => `"/order/${uid}"`)}}
${pause === undefined ? '' : `function delay() return ${pause} end`}
function request()
  local chance = math.random(100)
  if chance == 1 then return wrk.format("GET", "/order/absent-" .. math.random(1000000000)) end
  if chance <= 11 then return wrk.format("GET", all[math.random(9000)]) end
  return wrk.format("GET", all[9000 + math.random(1000)])
end`,
  );
const load = async (seconds: number, connections: number) => {
  const wrk = Bun.spawn(['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, replica.url], {
    stdout: 'pipe',
  });
  const output = await new Response(wrk.stdout).text();
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
};

await write();
const most = await load(5, fewConnections);
await write(Math.round((2 * manyConnections * 1000) / most));
const begun = Date.now();
const loading = load(minutes * 60, manyConnections);
const samples: number[] = [];
while (Date.now() - begun < minutes * 60_000) {
  await Bun.sleep(sampleIntervalMs);
  const status = await Bun.file(`/proc/${replica.pid}/status`).text();
  samples.push(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
}
const rate = await loading;
const metrics = await (await fetch(`${replica.url}/metrics`)).text();
const answers = [...metrics.matchAll(/^orders_lookups_total\{.*tier="(\w+)".*\} (\d+)$/gm)];
const all = answers.reduce((sum, [, , count]) => sum + Number(count), 0);
const shares = answers.map(([, tier, count]) => `${tier} ${((100 * Number(count)) / all).toFixed(1)} %`);
const third = Math.floor(samples.length / 3);
const mean = (part: readonly number[]) => part.reduce((sum, one) => sum + one, 0) / part.length;
const thirds = [samples.slice(0, third), samples.slice(third, 2 * third), samples.slice(2 * third)].map(mean);
const isFlat = (thirds[2] ?? 0) <= (thirds[1] ?? 0) * maxGrowth;
console.log(
  `${minutes} min at ${Math.round(rate)} lookups/s (at most ${Math.round(most)}/s): resident ${thirds.map(Math.round).join(', ')} MB ` +
    `(means of the thirds), at most ${Math.round(Math.max(...samples))} MB: ${isFlat ? 'flat' : 'GROWING'}; answered by ${shares.join(', ')}`,
);
producer.kill();
await producer.exited;
await replica.stop();
await database[Symbol.asyncDispose]();
process.exit(isFlat ? 0 : 1);
