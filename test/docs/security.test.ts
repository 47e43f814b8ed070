import { expect, setDefaultTimeout, test } from 'bun:test';
import type { Order } from '../../src/order/order.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { uniqueName } from '../support/database.ts';
import { brokers, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { runScript } from '../support/run-script.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(90_000);

const document = await Bun.file(`${import.meta.dir}/../../SECURITY.md`).text();
const [grants = '', eraserGrants = '', retentionGrants = ''] = [
  ...document.matchAll(/```sql\n([^`]+)```/g),
].map(([, sql]) => sql);

const environmentOf = async (databaseUrl: string) => {
  const topic = uniqueName('orders');
  return {
    KAFKA_BROKERS: (await brokers()).join(','),
    KAFKA_TOPIC: topic,
    KAFKA_DLQ_TOPIC: `${topic}_dlq`,
    KAFKA_GROUP_ID: topic,
    KAFKA_PARTITIONS: '1',
    DATABASE_URL: databaseUrl,
  };
};

test('the rights that SECURITY.md grants are enough to run, and no table can be made or order deleted with them', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const role = uniqueName('orders');
  await sql.unsafe(`create role ${role} login password 'pa55'`);
  try {
    await sql.unsafe('revoke create on schema public from public');
    await sql.unsafe(grants.replaceAll('to orders', `to ${role}`));
    const url = Object.assign(new URL(database.url), { username: role, password: 'pa55' }).href;
    const environment = await environmentOf(url);
    await using program = startProgram(environment);
    const address = await program.url();
    await using producer = startProgram(environment, ['producer.ts', '--count', '1', '--seed', '5']);
    expect(await producer.ended()).toMatchObject({ status: 0, errors: '' });
    const { order_uid } = createOrderMaker({ seed: 5 })();
    await until(async () => (await fetch(`${address}/order/${order_uid}`)).status === 200, 30_000);
    expect((await program.stop('SIGTERM')).status).toBe(0);
    await sql.begin(async (tx) => {
      await tx.unsafe(`set local role ${role}`);
      for (const statement of ['create table mine ()', 'delete from orders', 'update items set price = 1'])
        await expect(tx.savepoint((inner) => inner.unsafe(statement))).rejects.toThrow('permission denied');
    });
  } finally {
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
  }
});

test('the rights that SECURITY.md grants to erase orders are enough for it', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const orders = Array.from({ length: 2 }, createOrderMaker({ seed: 6 }));
  await createStore(sql).save(orders);
  const role = uniqueName('eraser');
  await sql.unsafe(`create role ${role} login password 'pa55'`);
  try {
    await sql.unsafe(eraserGrants.replaceAll('to eraser', `to ${role}`));
    const url = Object.assign(new URL(database.url), { username: role, password: 'pa55' }).href;
    const email = orders[0]?.delivery.email as string;
    const erase = (...args: string[]) =>
      runScript('scripts/orders.ts', ['erase', ...args, '--yes'], { DATABASE_URL: url });
    expect(await erase('--email', email)).toMatchObject({ code: 0, errors: '' });
    expect(await erase(orders[1]?.order_uid as string)).toMatchObject({ code: 0, errors: '' });
    expect(await createStore(sql).newest(9)).toEqual([]);
  } finally {
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
  }
});

test('the rights that SECURITY.md grants for the retention are enough, with the index made by the owner', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const [old, fresh] = Array.from({ length: 2 }, createOrderMaker({ seed: 6 })) as [Order, Order];
  await createStore(sql).save([{ ...old, date_created: '2020-01-01T00:00:00Z' }, fresh]);
  const role = uniqueName('orders');
  await sql.unsafe(`create role ${role} login password 'pa55'`);
  try {
    await sql.unsafe(grants.replaceAll('to orders', `to ${role}`));
    await sql.unsafe(retentionGrants.replaceAll('to orders', `to ${role}`));
    const url = Object.assign(new URL(database.url), { username: role, password: 'pa55' }).href;
    const environment = { ...(await environmentOf(url)), SERVE: 'http', ORDER_RETENTION_DAYS: '30' };
    await using first = startProgram(environment);
    await first.said('indexes cannot be made or dropped', 30_000);
    await first.said('expired orders are not deleted yet', 30_000);
    await first.stop('SIGTERM');
    const operations = await Bun.file(`${import.meta.dir}/../../docs/operations.md`).text();
    await sql.unsafe(/create index concurrently orders_date_created[^']*/.exec(operations)?.[0] ?? '');
    await using second = startProgram(environment);
    await until(async () => (await createStore(sql).newest(9)).join() === fresh.order_uid, 30_000);
    expect((await second.stop('SIGTERM')).status).toBe(0);
  } finally {
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
  }
});

testWith(hasRedisServer, 'redis-server')(
  'an order is gone after the command that SECURITY.md names, without a restart and after one',
  async () => {
    await using database = await testDatabase();
    await using redis = await startRedisServer();
    const orders = Array.from({ length: 3 }, createOrderMaker({ seed: 6 }));
    await createStore(database.sql).save(orders);
    const uid = orders[1]?.order_uid as string;
    const environment = {
      ...(await environmentOf(database.url)),
      REDIS_URL: redis.url,
      SERVE: 'http',
    };
    const statusesIn = async (program: ReturnType<typeof startProgram>) => {
      await program.said('the cache is warm', 30_000);
      const url = await program.url();
      return Promise.all(
        orders.map(async ({ order_uid }) => (await fetch(`${url}/order/${order_uid}`)).status),
      );
    };
    await using first = startProgram(environment);
    expect(await statusesIn(first)).toEqual([200, 200, 200]);
    await until(async () => (await redis.admin.hlen('{orders}:documents')) === 3);
    expect(document).toContain('`bun run orders erase`');
    expect(
      await runScript('scripts/orders.ts', ['erase', uid, '--yes'], { DATABASE_URL: database.url }),
    ).toMatchObject({ code: 0 });
    await until(async () => (await statusesIn(first)).join() === '200,404,200');
    await first.stop('SIGTERM');
    await using second = startProgram(environment);
    expect(await statusesIn(second)).toEqual([200, 404, 200]);
    expect(await redis.admin.llen('{orders}:queue')).toBe(2);
  },
);
