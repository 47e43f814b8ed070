/** Real orders, made by another program, from `producer.ts --file` through Kafka and PostgreSQL to an answer over HTTP. */
import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createKafka } from '../../src/kafka/client.ts';
import { toInstant } from '../../src/order/instant.ts';
import type { Order } from '../../src/order/order.ts';
import { brokers, silent, testDatabase, topicName, until } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';

const folder = join(import.meta.dir, '../../../shared/orders');
const files = ['reference-producer-500.ndjson', 'model.json'].map((name) => join(folder, name));

/** With its date as an instant, cut to the microsecond. */
const withInstant = (order: Order) => ({ ...order, date_created: toInstant(order.date_created) });

if (!files.every((file) => existsSync(file)))
  console.warn(`No ${folder}: the reference orders are not tested.`);
else
  test('all 501 reference orders are returned unchanged, and none is a dead letter', async () => {
    await using database = await testDatabase({ migrated: false });
    const topic = topicName();
    const environment = {
      KAFKA_BROKERS: (await brokers()).join(','),
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: `${topic}_dlq`,
      KAFKA_GROUP_ID: `${topic}_group`,
      KAFKA_PARTITIONS: '4',
      DATABASE_URL: database.url,
    };
    await using program = startProgram(environment);
    const url = await program.url();

    const sent: Order[] = [];
    for (const file of files) {
      const text = await Bun.file(file).text();
      const values = file.endsWith('.ndjson') ? text.trim().split('\n') : [text];
      sent.push(...values.map((value) => JSON.parse(value)));
      await using producer = startProgram(environment, ['producer.ts', '--file', file]);
      expect((await producer.ended()).status).toBe(0);
    }
    expect(new Set(sent.map((order) => order.order_uid)).size).toBe(501);

    const stored = async () => {
      const [row] = await database.sql`select count(*)::int as count from orders`.catch(() => []);
      return row?.count === 501;
    };
    await until(stored, 60_000);

    for (const order of sent) {
      const response = await fetch(`${url}/order/${encodeURIComponent(order.order_uid)}`);
      expect([order.order_uid, response.status]).toEqual([order.order_uid, 200]);
      expect(withInstant((await response.json()) as Order)).toEqual(withInstant(order));
    }

    const admin = createKafka(
      { brokers: await brokers(), ssl: false, sasl: undefined },
      'test',
      silent,
    ).admin();
    await admin.connect();
    const letters = await admin.fetchTopicOffsets(`${topic}_dlq`);
    await admin.disconnect();
    expect(letters.map(({ high }) => high)).toEqual(letters.map(() => '0'));
    expect((await program.stop('SIGTERM')).status).toBe(0);
    expect(program.faults()).toEqual([]);
  }, 120_000);
