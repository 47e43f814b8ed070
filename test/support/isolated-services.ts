import { createKafka } from '../../src/kafka/client.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { brokers, silent, testDatabase, topicName } from './kafka-and-postgres.ts';

/** A database and topics of a program's own, and the settings that name them. */
export const openWorld = async () => {
  const database = await testDatabase({ migrated: false });
  const topic = topicName();
  const group = `${topic}_group`;
  const kafka = createKafka({ brokers: await brokers(), ssl: false, sasl: undefined }, 'test', silent);
  const environment = {
    KAFKA_BROKERS: (await brokers()).join(','),
    KAFKA_TOPIC: topic,
    KAFKA_DLQ_TOPIC: `${topic}_dlq`,
    KAFKA_GROUP_ID: group,
    KAFKA_PARTITIONS: '4',
    DATABASE_URL: database.url,
  };
  return {
    environment,
    database,
    /** Sends orders, in batches, to the topic, which must be there. */
    async send(orders: { order_uid: string }[]) {
      const producer = kafka.producer();
      await producer.connect();
      for (let at = 0; at < orders.length; at += 500)
        await producer.send({
          topic,
          messages: orders
            .slice(at, at + 500)
            .map((order) => ({ key: order.order_uid, value: JSON.stringify(order) })),
        });
      await producer.disconnect();
    },
    /** Messages that the group has committed, of all partitions. */
    async committed() {
      const admin = kafka.admin();
      await admin.connect();
      const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      await admin.disconnect();
      return (offsets?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
    },
    async stored() {
      const [row] = await database.sql`select count(*)::int as count from orders`;
      return Number(row?.count);
    },
    [Symbol.asyncDispose]: database[Symbol.asyncDispose],
  };
};

/** The first orders of a fake stream. */
export const ordersOf = (count: number, seed = 1) =>
  Array.from({ length: count }, createOrderMaker({ seed }));
