/**
 * The OpenAPI document against the program, from outside: schemathesis sends generated requests, and compares the responses. Not
 * part of `bun run test`, as it needs schemathesis: `pip install -r test/contract/requirements.txt`.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { exampleOrder } from '../../src/order/example.ts';
import { createStore } from '../../src/postgres/store.ts';
import { openWorld, ordersOf } from '../support/isolated-services.ts';
import { startProgram } from '../support/program.ts';
import { runSchemathesis } from '../support/schemathesis.ts';
import { startProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

if (!Bun.which('schemathesis')) {
  console.error('schemathesis is not on the PATH: pip install -r test/contract/requirements.txt');
  process.exit(1);
}
setDefaultTimeout(120_000);

const seed = Number(process.env.CONTRACT_SEED ?? crypto.getRandomValues(new Uint32Array(1))[0]);
console.log(`CONTRACT_SEED=${seed} repeats the same requests`);

const open = new AsyncDisposableStack();
/** Keys such as `GET /order/{uid} 404`. */
const seen = new Set<string>();
let postgres: ReturnType<typeof startProxy>;
let environment: Record<string, string>;
let unlimited: string;

/** A program that is ready; resolves with its URL. */
const start = async (more: Record<string, string>) => {
  const url = await open.use(startProgram({ ...environment, ...more })).url();
  await until(async () => (await (await fetch(`${url}/readyz`)).json()).status === 'ready', 60_000);
  return url;
};

beforeAll(async () => {
  const world = open.use(await openWorld());
  const database = new URL(world.environment.DATABASE_URL);
  postgres = open.use(startProxy({ hostname: database.hostname, port: Number(database.port) }));
  Object.assign(database, { hostname: '127.0.0.1', port: String(postgres.port) });
  environment = { ...world.environment, DATABASE_URL: database.href };
  unlimited = await start({ RATE_LIMIT: '0' });
  await createStore(world.database.sql).save([exampleOrder, ...ordersOf(20)]);
});
afterAll(() => open.disposeAsync());

const ask = async ({ url, ...run }: Omit<Parameters<typeof runSchemathesis>[0], 'seed'>) => {
  const { status, output, exchanges } = await runSchemathesis({ url, seed, ...run });
  expect(status === 0 ? '' : output).toBe('');
  for (const { request, response } of exchanges) {
    const path = request.url
      .slice(url.length)
      .replace(/^\/order\/.*/s, '/order/{uid}')
      .replace(/\?.*/s, '');
    seen.add(`${request.method} ${path} ${response.status}`);
  }
};

test('the program does what its document says', () =>
  ask({ url: unlimited, phases: ['examples', 'coverage', 'fuzzing', 'stateful'], examples: 20 }));

test('and when a client has sent too many requests', async () => {
  const url = await start({ RATE_LIMIT: '20', SERVE: 'http' });
  await ask({ url, phases: ['coverage'], examples: 5 });
});

test('and while PostgreSQL is away', async () => {
  postgres.cut();
  await ask({ url: unlimited, phases: ['coverage'], examples: 5, expected: [503] });
  postgres.resume();
});

test('and when the Host header is malformed, or names another host', async () => {
  const url = await start({ ALLOWED_HOSTS: 'orders.example.org', SERVE: 'http' });
  for (const [path, host] of [
    [`/order/${exampleOrder.order_uid}`, 'other.example'],
    [`/orders?uid=${exampleOrder.order_uid}`, 'other.example'],
    ['/healthz', 'a b'],
    ['/readyz', 'a b'],
  ] as const) {
    const { status } = await fetch(url + path, { headers: { host } });
    seen.add(`GET ${path.replace(/\?.*/, '').replace(exampleOrder.order_uid, '{uid}')} ${status}`);
  }
});

test('every documented status was answered, but for internal server errors', async () => {
  const { paths } = (await (await fetch(`${unlimited}/swagger/json`)).json()) as {
    paths: Record<string, { get: { responses: object } }>;
  };
  const documented = Object.entries(paths).flatMap(([path, { get }]) =>
    Object.keys(get.responses).map((status) => `GET ${path} ${status}`),
  );
  expect(documented.filter((answer) => !seen.has(answer) && !answer.endsWith(' 500'))).toEqual([]);
});
