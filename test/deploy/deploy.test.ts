/** `docker compose up`, as in the README, and the operations that follow. The tests depend on one another, in this order. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { chromium } from 'playwright-core';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { createCompose, docker, finished, kept, lines, startLoad } from '../support/container-engine.ts';
import { freePort } from '../support/reverse-proxy.ts';
import { testWith } from '../support/test-with.ts';
import { until as untilWithin } from '../support/until.ts';

// Containers are slow on a busy machine.
const until = <T>(probe: () => T | Promise<T>, ms = 120_000) => untilWithin(probe, ms);
setDefaultTimeout(300_000);

const PORT = String(freePort());
const url = `http://127.0.0.1:${PORT}`;
// All requests come from one address, so they count as one client.
const environment = { PORT, RATE_LIMIT: '0', LIVE_FEED: 'true', POSTGRES_PASSWORD: `p@ss:w/rd?#%41 &'` };
const compose = createCompose(environment);
const below = createCompose({ ...environment, BASE_PATH: '/lookup' });

const before = await kept();
const statusOf = async (path: string) => (await fetch(url + path).catch(() => undefined))?.status;
const answers = async (path: string, ms = 120_000) => until(async () => (await statusOf(path)) === 200, ms);
/** While the tables are not there, psql fails. */
const firstOrder = () =>
  until(() => compose.sql('select order_uid from orders order by id limit 1').catch(() => ''));
const partitionsOf = async () => {
  const ids = await compose.idsOf('app');
  const shares = await Promise.all(
    ids.map(async (id) => {
      const text = (await finished(['docker', 'logs', id])).output;
      const joined = lines(text).findLast((line) => line.includes('"joined the group"'));
      return joined ? (JSON.parse(joined).partitions as number[]) : [];
    }),
  );
  return shares;
};
/** Each replica has some of the eight partitions, no two the same, and together all. */
const isShared = (shares: number[][]) =>
  shares.every(({ length }) => length > 0) && shares.flat().length === 8 && new Set(shares.flat()).size === 8;
const ready = async (replicas: number) => {
  await until(async () => {
    const ids = await compose.idsOf('app');
    const health = lines(await docker('inspect', '--format', '{{ .State.Health.Status }}', ...ids));
    return health.length === replicas && health.every((status) => status === 'healthy');
  });
};

let attached: ReturnType<typeof compose.start>;
let terminal = '';

beforeAll(() => compose('build'), 300_000);
afterAll(() => compose('down', '--volumes', '--timeout', '1'), 60_000);

test('up: the page answers soon, the terminal shows its address, and the lines of other programs do not hide it', async () => {
  const begun = performance.now();
  attached = compose.start('up');
  const read = async (stream: ReadableStream<Uint8Array>) => {
    for await (const part of stream as typeof stream & AsyncIterable<Uint8Array>)
      terminal += new TextDecoder().decode(part);
  };
  void read(attached.stdout);
  void read(attached.stderr);
  await answers('/', 240_000);
  console.log(`the first page after ${((performance.now() - begun) / 1000).toFixed(1)} s, images built`);
  await until(() => terminal.includes(`"page":"http://localhost:${PORT}/"`));
  const said = lines(terminal).filter((line) => line.includes(' | '));
  expect([...new Set(said.map((line) => line.split(/[-\d]* *\|/)[0]?.trim()))].sort()).not.toContain('kafka');
  expect(said.length).toBeLessThan(60);
});

test('an order arrives, and the page, the API and, through the proxy, the events show it', async () => {
  const uid = await firstOrder();
  await answers(`/order/${uid}`);
  expect(await (await fetch(`${url}/?uid=${uid}`)).text()).toContain('data-state="found"');
  const events = (await fetch(`${url}/events`)).body as ReadableStream<Uint8Array>;
  let text = '';
  for await (const part of events as typeof events & AsyncIterable<Uint8Array>) {
    text += new TextDecoder().decode(part);
    if (/^data: \{.*"uid"/m.test(text)) break;
  }
  const health = (await (await fetch(`${url}/readyz`)).json()) as { status: string };
  expect(health.status).toBe('ready');
});

test('up --wait succeeds once all is healthy', async () => {
  await compose('up', '--detach', '--wait', '--wait-timeout', '240');
});

test('the memory limits are enforced', async () => {
  const ids = lines(await compose('ps', '--quiet'));
  for (const id of ids) {
    const limit = Number(await docker('inspect', '--format', '{{ .HostConfig.Memory }}', id));
    const path = '/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes';
    const seen = await finished(['docker', 'exec', id, 'sh', '-c', `cat ${path} 2>/dev/null`]);
    expect(Number(lines(seen.output)[0])).toBe(limit);
    expect(limit).toBeGreaterThan(0);
  }
  // As much as the producer may have, and as much again.
  const greedy =
    'const all = []; for (let i = 0; i < 64; i++) all.push(new Uint8Array(8 << 20).fill(1)); console.log(all.length)';
  const { status, output } = await compose.attempt([
    'run',
    '--rm',
    '--no-deps',
    '-T',
    'producer',
    'bun',
    '-e',
    greedy,
  ]);
  expect([status, output]).toEqual([137, '']);
});

test('three replicas share the partitions; no request fails while they join; the cache keeps its limit; every order is found', async () => {
  const uid = await firstOrder();
  await using load = startLoad(url, [`/order/${uid}`, '/']);
  await compose('up', '--detach', '--no-recreate', '--scale', 'app=3');
  await until(async () => isShared(await partitionsOf()));
  await ready(3);
  const { failed, asked, slowest } = await load.stop();
  console.log(`${asked} requests while two replicas joined, the slowest took ${Math.round(slowest)} ms`);
  expect(failed).toEqual([]);

  const count = 1_500;
  await compose(
    'run',
    '--rm',
    '--no-deps',
    '-T',
    'producer',
    ...['bun', 'producer.ts', '--count', `${count}`, '--seed', '7', '--rate', '0'],
  );
  const uids = Array.from({ length: count }, createOrderMaker({ seed: 7 })).map(({ order_uid }) => order_uid);
  const found = async () => Number(await compose.sql('select count(*) from orders'));
  await until(async () => (await found()) > count);
  await using lookups = startLoad(
    url,
    uids.map((order) => `/order/${order}`),
  );
  const watched = await until(async () => {
    const size = Number(await compose('exec', '-T', 'redis', 'redis-cli', 'hlen', '{orders}:documents'));
    expect(size).toBeLessThanOrEqual(1_000);
    return size === 1_000;
  });
  expect(watched).toBe(true);
  expect((await lookups.stop()).failed).toEqual([]);
  const missing = await compose.sql(
    `select count(*) from unnest(array['${uids.join("','")}']) uid where not exists (select from orders where order_uid = uid)`,
  );
  expect(missing).toBe('0');
});

test('one replica is killed and one restarted under load: no request fails, and the others take over', async () => {
  const uid = await firstOrder();
  const [first = '', second = ''] = await compose.idsOf('app');
  await using load = startLoad(url, [`/order/${uid}`, '/', '/healthz']);
  await docker('kill', first);
  await docker('restart', '--time', '15', second);
  await docker('start', first);
  await ready(3);
  await until(async () => isShared(await partitionsOf()));
  const { failed, asked } = await load.stop();
  expect(failed).toEqual([]);
  expect(asked).toBeGreaterThan(100);
});

test('replicas are replaced one after another, as docs/operations.md says, and no request fails', async () => {
  const uid = await firstOrder();
  const before = await compose.idsOf('app');
  const changed = createCompose({ ...environment, LOG_LEVEL: 'warn' });
  await using load = startLoad(url, [`/order/${uid}`, '/']);
  await changed('up', '--detach', '--wait', '--no-deps', '--no-recreate', '--scale', 'app=6', 'app');
  await changed('up', '--detach', '--no-deps', '--scale', 'app=3', 'app');
  const { failed, asked } = await load.stop();
  expect(failed).toEqual([]);
  expect(asked).toBeGreaterThan(100);
  const after = await compose.idsOf('app');
  expect(after.length).toBe(3);
  expect(after.filter((id) => before.includes(id))).toEqual([]);
});

test('stop: each container ends by itself within its grace period', async () => {
  const begun = performance.now();
  await compose('stop');
  expect(performance.now() - begun).toBeLessThan(25_000);
  for (const line of await compose.exitCodes()) expect(line).not.toEndWith(' 137');
  await attached.exited;
});

test('down and up keep the stored orders; below BASE_PATH every route answers, in a browser too', async () => {
  await compose('up', '--detach', '--no-deps', '--wait', 'postgres');
  const uid = await firstOrder();
  const stored = Number(await compose.sql('select count(*) from orders'));
  await compose('down');
  await below('up', '--detach', '--wait', '--wait-timeout', '240');
  await answers(`/lookup/order/${uid}`);
  expect(Number(await compose.sql('select count(*) from orders'))).toBeGreaterThanOrEqual(stored);
  for (const path of ['/lookup/', '/lookup/swagger', '/lookup/swagger/json', '/healthz'])
    expect([path, await statusOf(path)]).toEqual([path, 200]);
  const events = (await fetch(`${url}/lookup/events`)).body as ReadableStream<Uint8Array>;
  for await (const part of events as typeof events & AsyncIterable<Uint8Array>)
    if (new TextDecoder().decode(part).includes('"uid"')) break;
});

testWith(Bun.which('chromium') !== null, 'Chromium')(
  'a browser finds an order below BASE_PATH, through the proxy',
  async () => {
    const uid = await firstOrder();
    const browser = await chromium.launch({
      executablePath: Bun.which('chromium') ?? '',
      args: ['--no-sandbox', '--disable-gpu'],
    });
    try {
      const page = await browser.newPage();
      const outside: string[] = [];
      page.on('request', (request) => {
        const { pathname } = new URL(request.url());
        if (!pathname.startsWith('/lookup')) outside.push(pathname);
      });
      await page.goto(`${url}/lookup`);
      await page.fill('#uid', uid);
      await page.keyboard.press('Enter');
      await page.locator('#order').waitFor();
      expect(page.url()).toBe(`${url}/lookup/?uid=${uid}`);
      await page.locator('#live a:not([hidden])').first().click();
      await page.goto(`${url}/lookup/swagger`);
      await page.locator('.opblock').first().waitFor();
      expect(outside).toEqual([]);
    } finally {
      await browser.close();
    }
  },
);

test('a password that was changed after the first start is said to be refused, and shown', async () => {
  const changed = createCompose({ ...environment, POSTGRES_PASSWORD: 'another' });
  await changed('up', '--detach', '--no-deps', 'app');
  const refused = async () =>
    (await changed.log('app')).some(({ reason }) => `${reason}`.startsWith('authentication failed'));
  await until(refused);
  expect(await statusOf('/readyz')).not.toBe(200);
});

test('Kafka that is stopped in its first seconds stops at once', async () => {
  await compose('stop', 'kafka');
  await compose('start', 'kafka');
  const begun = performance.now();
  await compose('stop', 'kafka');
  expect(performance.now() - begun).toBeLessThan(15_000);
  const codes = await compose.exitCodes();
  expect(codes.find((line) => line.startsWith('kafka'))).not.toBe('kafka 137');
});

test('down --volumes removes everything', async () => {
  await compose('down', '--volumes');
  expect(await kept()).toEqual(before);
});
