/** Programs for the contract tests, and what schemathesis has asked them. */
import { expect } from 'bun:test';
import { exampleOrder } from '../../src/order/example.ts';
import { createStore } from '../../src/postgres/store.ts';
import { openWorld, ordersOf } from './isolated-services.ts';
import { startProgram } from './program.ts';
import { runSchemathesis } from './schemathesis.ts';
import { startProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

if (!Bun.which('schemathesis')) {
  console.error('schemathesis is not on the PATH: pip install -r test/contract/requirements.txt');
  process.exit(1);
}

const seed = Number(process.env.CONTRACT_SEED ?? crypto.getRandomValues(new Uint32Array(1))[0]);
console.log(`CONTRACT_SEED=${seed} repeats the same requests`);

type Run = Omit<Parameters<typeof runSchemathesis>[0], 'seed'>;

/** Orders in a database behind a proxy, programs on them, and the statuses that they have answered. */
export const openContract = async () => {
  const open = new AsyncDisposableStack();
  const world = open.use(await openWorld());
  const database = new URL(world.environment.DATABASE_URL);
  const postgres = open.use(startProxy({ hostname: database.hostname, port: Number(database.port) }));
  Object.assign(database, { hostname: '127.0.0.1', port: String(postgres.port) });
  /** Keys such as `GET /order/{uid} 404`. */
  const seen = new Set<string>();

  return {
    world,
    postgres,
    seen,
    /** A program that is ready; resolves with its URL. */
    async start(more: Record<string, string>) {
      const program = startProgram({ ...world.environment, DATABASE_URL: database.href, ...more });
      const url = await open.use(program).url();
      await until(async () => (await (await fetch(`${url}/readyz`)).json()).status === 'ready', 60_000);
      return url;
    },
    /** Once a program has made the tables. */
    saveOrders: () => createStore(world.database.sql).save([exampleOrder, ...ordersOf(20)]),
    /** Runs schemathesis, which has to find nothing. */
    async ask({ url, ...run }: Run) {
      const { status, output, exchanges } = await runSchemathesis({ url, seed, ...run });
      expect(status === 0 ? '' : output).toBe('');
      for (const { request, response } of exchanges) {
        const path = request.url
          .slice(url.length)
          .replace(/^\/order\/.*/s, '/order/{uid}')
          .replace(/\?.*/s, '');
        seen.add(`${request.method} ${path} ${response.status}`);
      }
    },
    close: () => open.disposeAsync(),
  };
};

export type Contract = Awaited<ReturnType<typeof openContract>>;

type Document = { paths: Record<string, Record<string, { responses: object }>> };

/** Every status of the document at this URL, as keys, but for internal server errors. */
export const documentedAt = async (url: string, isAsked: (path: string) => boolean = () => true) => {
  const { paths } = (await (await fetch(`${url}/swagger/json`)).json()) as Document;
  return Object.entries(paths)
    .filter(([path]) => isAsked(path))
    .flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => `${method.toUpperCase()} ${path} ${status}`),
      ),
    )
    .filter((answer) => !answer.endsWith(' 500'));
};
