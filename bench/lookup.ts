/**
 * Throughput of lookups, as a ratio to a bare server that does the same work in the same run and sends the same bytes, head and body:
 * (a) memory hits, (b) Redis hits, (c) misses; and how much longer PostgreSQL takes than memory. The load is wrk's, in short turns of
 * all servers, as a machine's speed changes: a ratio is the median of the turns' ratios.
 *
 *   bun --env-file=.services/env bench/lookup.ts [turns [seconds of a turn]]
 *
 * Needs wrk, DATABASE_URL, whose user may create a database, and REDIS_URL, whose `{orders}:*` keys it overwrites.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLookup } from '../src/lookup/lookup.ts';
import { createMemoryCache } from '../src/lookup/memory-cache.ts';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase } from '../test/support/database.ts';
import { median } from './median.ts';

const [turns, seconds] = [Number(process.argv[2] ?? 9), Number(process.argv[3] ?? 1)];
const connections = [1, 32, 256];
const { DATABASE_URL, REDIS_URL } = process.env;
if (!DATABASE_URL || !REDIS_URL) throw new Error('Set DATABASE_URL and REDIS_URL: bun run services up');
if (!Bun.which('wrk')) throw new Error('wrk is missing; install the package wrk');

await using database = await createDatabase(DATABASE_URL);
const store = createStore(database.sql);
const orders = Array.from({ length: 1000 }, createOrderMaker({ seed: 1 }));
await store.save(orders);

const script = join(tmpdir(), `lookup-${process.pid}.lua`);
const paths = orders.map(({ order_uid }) => `"/order/${encodeURIComponent(order_uid)}"`);
await Bun.write(
  script,
  `local paths = {${paths}}
local requests = {}
function init() for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path) end end
local i = 0
function request() i = i % #requests + 1 return requests[i] end
function done(summary, latency)
  io.write(string.format('{"requests":%d,"duration":%d,"errors":%d,"p50":%d,"p99":%d}\\n', summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end`,
);

const serve = async (side: string, tier: string) => {
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/lookup-server.ts`, side, tier], {
    env: { ...process.env, BENCH_DATABASE: database.url },
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  return { url: `http://127.0.0.1:${new TextDecoder().decode(value).trim()}`, child };
};

type Figure = { perSecond: number; p50: number; p99: number };

/** Times in µs. */
const load = async (url: string, clients: number): Promise<Figure> => {
  const wrk = Bun.spawn(['wrk', '-t1', `-c${clients}`, `-d${seconds}s`, '--latency', '-s', script, url], {
    stdout: 'pipe',
  });
  const output = await new Response(wrk.stdout).text();
  const figures = JSON.parse(output.slice(output.lastIndexOf('{')));
  if (figures.errors > 0) throw new Error(`${figures.errors} errors from ${url}`);
  return { perSecond: (figures.requests / figures.duration) * 1e6, p50: figures.p50, p99: figures.p99 };
};

const milliseconds = (figures: readonly Figure[], what: 'p50' | 'p99') =>
  (median(figures.map((figure) => figure[what])) / 1000).toFixed(2).padStart(7);

const titles = { memory: '(a) memory hits', redis: '(b) Redis hits', postgres: '(c) misses' };
/** `bare-body` sends the body without our headers; `ours-limited` has a rate limit. */
const sides = ['bare', 'bare-body', 'ours', 'ours-limited'];

for (const tier of ['memory', 'redis', 'postgres'] as const) {
  const servers = await Promise.all(sides.map(async (side) => ({ side, ...(await serve(side, tier)) })));
  for (const clients of connections) {
    const figures = new Map<string, Figure[]>(sides.map((side) => [side, []]));
    for (const { url } of servers) await load(url, clients);
    for (let turn = 0; turn < turns; turn++)
      for (const { side, url } of servers) figures.get(side)?.push(await load(url, clients));
    const of = (side: string) => figures.get(side) ?? [];
    const rates = (side: string) => of(side).map(({ perSecond }) => perSecond);
    const rate = (side: string) => Math.round(median(rates(side)));
    const ratio = (one: string, other: string) => {
      const others = rates(other);
      return median(rates(one).map((figure, turn) => figure / (others[turn] as number))).toFixed(2);
    };
    console.log(
      `${titles[tier].padEnd(16)} ${String(clients).padStart(3)} connections: ${rate('ours')}/s of ${rate('bare')}/s, ` +
        `ratio ${ratio('ours', 'bare')}; p50${milliseconds(of('ours'), 'p50')} ms (bare${milliseconds(of('bare'), 'p50')}), ` +
        `p99${milliseconds(of('ours'), 'p99')} ms (bare${milliseconds(of('bare'), 'p99')})\n` +
        `${' '.repeat(33)}the body without our headers: ${rate('bare-body')}/s, ratio ${ratio('ours', 'bare-body')}; ` +
        `ours with a rate limit: ${rate('ours-limited')}/s, ratio ${ratio('ours-limited', 'bare')}`,
    );
  }
  for (const { child } of servers) child.kill();
}

// The gain of the cache: the same lookups, one after another, by the functions that a request calls.
const memory = createMemoryCache(1000);
const fromPostgres: number[] = [];
const lookup = createLookup({ memory, redis: undefined, store });
for (const { order_uid } of orders) {
  const begun = performance.now();
  await lookup.find(order_uid);
  fromPostgres.push(performance.now() - begun);
}
const passes = Array.from({ length: 300 }, () => {
  const begun = performance.now();
  for (const { order_uid } of orders) lookup.find(order_uid);
  return (performance.now() - begun) / orders.length;
});
const [slow, fast] = [median(fromPostgres), median(passes)];
console.log(
  `one lookup: ${slow.toFixed(3)} ms from PostgreSQL, ${fast.toFixed(5)} ms from memory: ${Math.round(slow / fast)} times as long`,
);
process.exit(0);
