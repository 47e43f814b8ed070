/**
 * The OpenAPI document against the program, from outside: schemathesis sends generated requests, and compares the responses. Not
 * part of `bun run test`, as it needs schemathesis: `pip install -r test/contract/requirements.txt`.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { exampleOrder } from '../../src/order/example.ts';
import { type Contract, documentedAt, openContract } from '../support/contract.ts';

setDefaultTimeout(120_000);

let contract: Contract;
let unlimited: string;

beforeAll(async () => {
  contract = await openContract();
  unlimited = await contract.start({ RATE_LIMIT: '0' });
  await contract.saveOrders();
});
afterAll(() => contract?.close());

test('the program does what its document says', () =>
  contract.ask({ url: unlimited, phases: ['examples', 'coverage', 'fuzzing', 'stateful'], examples: 20 }));

test('and when a client has sent too many requests', async () => {
  const url = await contract.start({ RATE_LIMIT: '20', SERVE: 'http' });
  await contract.ask({ url, phases: ['coverage'], examples: 5 });
});

test('and while PostgreSQL is away', async () => {
  contract.postgres.cut();
  await contract.ask({ url: unlimited, phases: ['coverage'], examples: 5, expected: [503] });
  contract.postgres.resume();
});

test('and when the Host header is malformed, or names another host', async () => {
  const url = await contract.start({ ALLOWED_HOSTS: 'orders.example.org', SERVE: 'http' });
  for (const [path, host] of [
    [`/order/${exampleOrder.order_uid}`, 'other.example'],
    [`/orders?uid=${exampleOrder.order_uid}`, 'other.example'],
    ['/healthz', 'a b'],
    ['/readyz', 'a b'],
  ] as const) {
    const { status } = await fetch(url + path, { headers: { host } });
    contract.seen.add(`GET ${path.replace(/\?.*/, '').replace(exampleOrder.order_uid, '{uid}')} ${status}`);
  }
});

test('and when the request line is too long', async () => {
  const { status } = await fetch(`${unlimited}/orders?${'uid=12345678901&'.repeat(1_200)}`);
  contract.seen.add(`GET /orders ${status}`);
});

test('every documented status was answered, but for internal server errors', async () => {
  const documented = await documentedAt(unlimited);
  expect(documented.filter((answer) => !contract.seen.has(answer))).toEqual([]);
});
