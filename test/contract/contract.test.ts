/**
 * The OpenAPI document against the program, from outside: schemathesis asks whatever it can think of, and compares. Not
 * among the others, as it needs schemathesis: `pip install -r test/contract/requirements.txt`.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { document } from '../../src/http/openapi.ts';
import { exampleOrder } from '../../src/order/example.ts';
import { createStore } from '../../src/postgres/store.ts';
import { openWorld, ordersOf } from '../support/isolated-services.ts';
import { startProgram } from '../support/program.ts';
import { startProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import { runSchemathesis } from './schemathesis.ts';

if (!Bun.which('schemathesis')) {
  console.error('schemathesis is not on the PATH: pip install -r test/contract/requirements.txt');
  process.exit(1);
}
setDefaultTimeout(120_000);

const seed = Number(process.env.CONTRACT_SEED ?? crypto.getRandomValues(new Uint32Array(1))[0]);
console.log(`CONTRACT_SEED=${seed} asks the same again`);

const open = new AsyncDisposableStack();
/** As in `GET /order/{uid} 404`. */
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
    const path = request.url.slice(url.length).replace(/^\/order\/.*/s, '/order/{uid}');
    seen.add(`${request.method} ${path} ${response.status}`);
  }
};

test('the program does what its document says', () =>
  ask({ url: unlimited, phases: ['examples', 'coverage', 'fuzzing', 'stateful'], examples: 20 }));

test('and so when a client has asked too often', async () => {
  const url = await start({ RATE_LIMIT: '20', SERVE: 'http' });
  await ask({ url, phases: ['coverage'], examples: 5 });
});

test('and while PostgreSQL is away', async () => {
  postgres.cut();
  await ask({ url: unlimited, phases: ['coverage'], examples: 5, expected: [503] });
  postgres.resume();
});

test('every status that is documented was answered, but for mistakes of ours', () => {
  const documented = Object.entries(document.paths).flatMap(([path, { get }]) =>
    Object.keys(get.responses).map((status) => `GET ${path} ${status}`),
  );
  expect(documented.filter((answer) => !seen.has(answer) && !answer.endsWith(' 500'))).toEqual([]);
});
