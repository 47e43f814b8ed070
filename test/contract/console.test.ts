/** The console's API against its part of the OpenAPI document, as `contract.test.ts`. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { buildOrder } from '../support/build-order.ts';
import { type Contract, documentedAt, openContract } from '../support/contract.ts';
import { until } from '../support/until.ts';

setDefaultTimeout(300_000);

const token = 'anna-has-this-token';
const authorization = `Bearer ${token}`;
const settings = {
  CONSOLE_TOKENS: `anna:${token}`,
  CONSOLE_SEARCH: 'track,customer,phone,email,transaction,rid,nm_id',
  RATE_LIMIT: '0',
};
/** An endless stream, which schemathesis would read to its end. */
const stream = '/console/api/overview/events';
const tag = 'console';

let contract: Contract;
let url: string;

beforeAll(async () => {
  contract = await openContract();
  url = await contract.start(settings);
  await contract.saveOrders();
  const letters = Array.from({ length: 20 }, (_, n) => ({
    ...buildOrder({ order_uid: `letter-${n}-of-many` }),
    locale: 'de',
  }));
  await contract.world.send(letters);
  await until(
    async () => (await (await get('/console/api/dead-letters')).json()).counts.total === letters.length,
    60_000,
  );
});
afterAll(() => contract?.close());

const get = (path: string, headers: Record<string, string> = {}, to = url) =>
  fetch(to + path, { headers: { authorization, ...headers } });

/** The operations of the console, as method and path. */
const operations = async () => {
  const answers = await documentedAt(url, (path) => path.startsWith('/console/'));
  return [...new Set(answers.map((answer) => answer.slice(0, -4)))].map(
    (one) => one.split(' ') as [string, string],
  );
};

const ask = (more: Partial<Parameters<Contract['ask']>[0]>) =>
  contract.ask({ url, phases: ['coverage'], examples: 5, authorization, tag, excludedPath: stream, ...more });

test('the console does what its document says', () =>
  ask({ phases: ['examples', 'coverage', 'fuzzing'], examples: 20 }));

test('and while PostgreSQL is away', async () => {
  contract.postgres.cut();
  await ask({ expected: [503] }).finally(() => contract.postgres.resume());
});

test('and while Kafka is away', async () => {
  const away = await contract.start({ ...settings, SERVE: 'http', KAFKA_BROKERS: '127.0.0.1:1' });
  // Each waits for Kafka for ten seconds.
  const paths = ['/console/api/dead-letters', '/console/api/dead-letters/letter?letter=0/0'];
  for (const response of await Promise.all(paths.map((path) => get(path, {}, away)))) {
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    contract.seen.add(`GET ${new URL(response.url).pathname} ${response.status}`);
  }
});

test('and its stream of samples', async () => {
  const open = await get(stream);
  expect(open.headers.get('content-type')).toBe('text/event-stream');
  const reader = (open.body as ReadableStream<Uint8Array>).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain('retry: ');
  const streams: Response[] = [];
  while (streams.at(-1)?.status !== 503) {
    const one = await get(stream);
    streams.push(one);
    contract.seen.add(`GET ${stream} ${one.status}`);
  }
  await reader.cancel();
  for (const { body } of streams) await body?.cancel();
});

test('and without a token, with too many wrong ones, from another origin, and to another host', async () => {
  const all = await operations();
  expect(all.length).toBeGreaterThan(5);
  const strict = await contract.start({ ...settings, ALLOWED_HOSTS: 'orders.example.org', SERVE: 'http' });
  const host = 'orders.example.org';
  for (const [method, path] of all)
    for (const [status, headers] of [
      [401, { host }],
      [403, { host, authorization, origin: 'https://elsewhere.example' }],
      [421, { authorization, host: 'other.example' }],
    ] as const) {
      const response = await fetch(strict + path, { method, headers });
      expect([method, path, response.status]).toEqual([method, path, status]);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      contract.seen.add(`${method} ${path} ${response.status}`);
    }
  for (let n = 0; n < 10; n++)
    await fetch(`${strict}${all[0]?.[1]}`, { headers: { host, authorization: 'Bearer wrong' } });
  for (const [method, path] of all) {
    const response = await fetch(strict + path, { method, headers: { host, authorization } });
    contract.seen.add(`${method} ${path} ${response.status}`);
  }
});

test('every documented status was answered, but for internal server errors', async () => {
  const documented = await documentedAt(url, (path) => path.startsWith('/console/'));
  expect(documented.filter((answer) => !contract.seen.has(answer))).toEqual([]);
});
