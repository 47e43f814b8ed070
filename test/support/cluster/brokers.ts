import { ConfigResourceTypes, type Kafka } from 'kafkajs';
import type { startKafkaCluster } from '../../../scripts/services/kafka.ts';
import { until } from '../until.ts';
import { partitionsOf } from './kcat.ts';

type Nodes = Awaited<ReturnType<typeof startKafkaCluster>>;
export type Admin = ReturnType<Kafka['admin']>;

/** Kafka's own for the topic of the groups' offsets; a change of settings replaces them all. */
const offsetsTopicSettings = [
  { name: 'cleanup.policy', value: 'compact' },
  { name: 'compression.type', value: 'producer' },
  { name: 'segment.bytes', value: '104857600' },
];
const settledWithinMs = 90_000;

/** Operations and faults of the brokers of a cluster. Ids of brokers are from 1 on. */
export const controlBrokers = (nodes: Nodes, kafka: Kafka) => {
  const all = nodes.map(({ brokers }) => brokers);
  const node = (id: number) => nodes[id - 1] as Nodes[number];
  const withoutBroker = (id: number) => all.filter((_, index) => index !== id - 1).join(',');

  const withAdmin = async <T>(work: (admin: Admin) => Promise<T>): Promise<T> => {
    const admin = kafka.admin();
    await admin.connect();
    return work(admin).finally(() => admin.disconnect());
  };

  /** Waits until every replica of the topic, and of the groups' offsets, is in sync. */
  const settle = (topic: string) =>
    until(async () => {
      const partitions = await Promise.all(
        [topic, '__consumer_offsets'].map((one) => partitionsOf(all.join(','), one)),
      );
      return partitions
        .flat()
        .every(({ leader, isrs, replicas }) => leader > 0 && isrs.length === replicas.length);
    }, settledWithinMs);

  /** Waits until the metadata of each broker has these topics. */
  const waitForTopics = (topics: readonly string[]) =>
    until(async () => {
      const asked = all.flatMap((broker) => topics.map((topic) => partitionsOf(broker, topic)));
      const known = await Promise.all(asked).catch(() => []);
      return (
        known.length > 0 &&
        known.every((found) => found.length > 0 && found.every(({ leader }) => leader > 0))
      );
    }, settledWithinMs);

  return {
    waitForTopics,
    all: all.join(','),
    ids: nodes.map((_, index) => index + 1),
    node,
    withoutBroker,
    withAdmin,
    settle,
    /** The broker that coordinates the group: the leader of its partition of the offsets' topic. */
    async coordinatorOf(groupId: string): Promise<number> {
      const partitions = await partitionsOf(all.join(','), '__consumer_offsets');
      // Java's String.hashCode, as Kafka computes it.
      let hash = 0;
      for (const char of groupId) hash = (Math.imul(31, hash) + char.charCodeAt(0)) | 0;
      const partition = (hash & 0x7fffffff) % partitions.length;
      return partitions.find((found) => found.partition === partition)?.leader ?? 0;
    },
    /** Waits until no partition of the topic is led by this broker. Resolves to the time since the call, in ms: what Kafka itself takes. */
    async fenced(id: number, topic: string): Promise<number> {
      const begun = Date.now();
      await until(async () => {
        const partitions = await partitionsOf(withoutBroker(id), topic).catch(() => []);
        return partitions.length > 0 && partitions.every(({ leader }) => leader !== id && leader > 0);
      }, 60_000);
      return Date.now() - begun;
    },
    /** In order, one broker: its leaders move first. */
    async restart(id: number) {
      await node(id).stop();
      await node(id).start();
    },
    /**
     * Moves the replicas of these partitions, or of all, to the next broker each; resolves once they are there. The leaders move
     * only if there are fewer replicas than brokers.
     */
    move: (topic: string, only?: readonly number[]) =>
      withAdmin(async (admin) => {
        const partitions = (await partitionsOf(all.join(','), topic)).filter(
          ({ partition }) => only?.includes(partition) ?? true,
        );
        const partitionAssignment = partitions.map(({ partition, replicas }) => ({
          partition,
          replicas: replicas.map(({ id }) => (id % nodes.length) + 1),
        }));
        await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] });
        const moved = [{ topic, partitions: partitions.map(({ partition }) => partition) }];
        await until(async () => {
          const { topics } = await admin.listPartitionReassignments({ topics: moved });
          return topics.length === 0;
        }, settledWithinMs);
      }),
    /** Sets the number of in-sync replicas that a write to the topic needs. */
    requireReplicas: (topic: string, count: number) =>
      withAdmin((admin) =>
        admin.alterConfigs({
          validateOnly: false,
          resources: [
            {
              type: ConfigResourceTypes.TOPIC,
              name: topic,
              configEntries: [
                ...(topic === '__consumer_offsets' ? offsetsTopicSettings : []),
                { name: 'min.insync.replicas', value: String(count) },
              ],
            },
          ],
        }),
      ),
    /** Thaws frozen brokers, starts killed ones, and waits until all replicas are in sync. */
    async recover(topic: string) {
      for (const one of nodes) one.thaw();
      await Promise.all(nodes.filter((one) => !one.running()).map((one) => one.start()));
      await settle(topic);
    },
  };
};

export type Brokers = ReturnType<typeof controlBrokers>;
