import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readableStreamToText } from 'bun';
import { keepPort } from './port.ts';
import { runService } from './service.ts';

const pomFile = join(import.meta.dir, 'kafka-pom.xml');
/** Kafka's jars, shared by all instances. The command-line tools are in them: `java -cp '<this>/*' org.apache.kafka.tools.…`. */
const kafkaLibs = process.env.KAFKA_LIBS ?? join(import.meta.dir, '../../.services/kafka-libs');

const isDownloaded = () =>
  existsSync(join(kafkaLibs, 'pom.xml')) &&
  readFileSync(join(kafkaLibs, 'pom.xml'), 'utf8') === readFileSync(pomFile, 'utf8');

/** The Debian packages that are missing for Kafka. */
export const missing = (): string[] => [
  ...(Bun.which('java') ? [] : ['default-jre-headless']),
  ...(isDownloaded() || Bun.which('mvn') ? [] : ['maven']),
];

/** Runs a command; rejects with its output if it fails. */
const run = async (cmd: string[], what: string) => {
  const child = Bun.spawn(cmd, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, error] = await Promise.all([
    readableStreamToText(child.stdout),
    readableStreamToText(child.stderr),
    child.exited,
  ]);
  if (child.exitCode !== 0) throw new Error(`${what} failed:\n${out}${error}`);
};

/** Downloads Kafka's jars with Maven, once per version in the pom. Resolves with their folder. Also for with-engine.sh. */
export const downloadKafka = async (): Promise<string> => {
  if (isDownloaded()) return kafkaLibs;
  mkdirSync(join(kafkaLibs, '..'), { recursive: true });
  const fresh = mkdtempSync(`${kafkaLibs}-`);
  try {
    const copy = [
      'dependency:copy-dependencies',
      `-DoutputDirectory=${fresh}`,
      `-DmarkersDirectory=${fresh}/markers`,
    ];
    await run(['mvn', '--quiet', '--batch-mode', '--file', pomFile, ...copy], 'Downloading Kafka with Maven');
    writeFileSync(join(fresh, 'pom.xml'), readFileSync(pomFile));
    rmSync(kafkaLibs, { recursive: true, force: true });
    renameSync(fresh, kafkaLibs);
  } catch (error) {
    // Another start may have downloaded them meanwhile.
    if (!isDownloaded()) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return kafkaLibs;
};

const settings = (dir: string, port: number, controller: number): Record<string, unknown> => ({
  'process.roles': 'broker,controller',
  'node.id': 1,
  'controller.quorum.voters': `1@127.0.0.1:${controller}`,
  'controller.listener.names': 'CONTROLLER',
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
  'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
  'log.dirs': join(dir, 'data'),
  'auto.create.topics.enable': false,
  'group.initial.rebalance.delay.ms': 0,
  // After a kill -9 the controller accepts the broker only when its old session has expired: 3 s instead of 9 s.
  'broker.session.timeout.ms': 3000,
  'broker.heartbeat.interval.ms': 500,
  // One node cannot have the default of three replicas; few partitions make it start faster.
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
});

const newClusterId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  // An id that begins with a dash would be parsed as an option.
  bytes[0] = 1;
  return Buffer.from(bytes).toString('base64url');
};

type Options = {
  dir: string;
  /** Additions to server.properties, including further listeners. */
  more?: Record<string, string>;
  /** Further arguments of `kafka-storage format`, such as users. */
  format?: string[];
  /** The same for all nodes of a cluster. */
  clusterId?: string;
  /** Arguments of java, such as the heap size. */
  java?: string[];
};

/** An Apache Kafka node (KRaft) on 127.0.0.1 with its data in `dir`. Provides `KAFKA_BROKERS`. */
export const startKafka = async ({
  dir,
  more = {},
  format = [],
  clusterId = newClusterId(),
  java: options = ['-Xms256m', '-Xmx512m'],
}: Options) => {
  const libs = await downloadKafka();
  const port = keepPort(dir, 'port');
  const properties = join(dir, 'server.properties');
  const lines = Object.entries({ ...settings(dir, port, keepPort(dir, 'controller-port')), ...more });
  writeFileSync(properties, lines.map(([name, value]) => `${name}=${value}\n`).join(''));
  const java = ['java', ...options, '-cp', `${libs}/*`];
  if (!existsSync(join(dir, 'data/meta.properties'))) {
    const command = ['kafka.tools.StorageTool', 'format', '--cluster-id', clusterId, '--config', properties];
    await run([...java, ...command, ...format], 'Formatting the storage of Kafka');
  }
  const brokers = `127.0.0.1:${port}`;
  const service = await runService({
    name: 'Kafka',
    dir,
    cmd: [...java, 'kafka.Kafka', properties],
    ready: 'Kafka Server started',
    stopSignal: 'SIGTERM',
    gives: { KAFKA_BROKERS: brokers },
  });
  return Object.assign(service, { brokers });
};

type Cluster = {
  dir: string;
  /** The number of brokers, each of which is also a controller. */
  nodes: number;
  /** Additions to server.properties of each node. */
  more?: Record<string, string>;
};

export const kafkaNode = (index: number) => `kafka-${index + 1}`;

/**
 * A Kafka cluster on 127.0.0.1, each node with its data in a folder below `dir`. Topics are replicated to all nodes, and `acks: all`
 * waits for all but one. A silent broker is fenced after 9 s, Kafka's default.
 */
export const startKafkaCluster = async ({ dir, nodes, more = {} }: Cluster) => {
  await downloadKafka();
  const dirs = Array.from({ length: nodes }, (_, index) => join(dir, kafkaNode(index)));
  const voters = dirs.map((node, index) => `${index + 1}@127.0.0.1:${keepPort(node, 'controller-port')}`);
  const idFile = join(dir, 'kafka-cluster-id');
  if (!existsSync(idFile)) writeFileSync(idFile, newClusterId());
  const clusterId = readFileSync(idFile, 'utf8');
  const atLeast = String(Math.max(1, nodes - 1));
  const replicas = String(nodes);
  const shared = {
    'controller.quorum.voters': voters.join(','),
    'default.replication.factor': replicas,
    'min.insync.replicas': atLeast,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': atLeast,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': atLeast,
    'broker.session.timeout.ms': '9000',
    'broker.heartbeat.interval.ms': '2000',
    ...more,
  };
  // Concurrently: no node is ready before a majority of controllers is.
  return Promise.all(
    dirs.map((node, index) =>
      startKafka({
        dir: node,
        more: { ...shared, 'node.id': String(index + 1) },
        clusterId,
        java: ['-Xms128m', '-Xmx320m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
      }),
    ),
  );
};
