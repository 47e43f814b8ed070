import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readableStreamToText } from 'bun';
import { keepPort } from './port.ts';
import { runService } from './service.ts';

const POM = join(import.meta.dir, 'kafka-pom.xml');
/** Kafka's jars, shared by all instances. The command-line tools are in them: `java -cp '<this>/*' org.apache.kafka.tools.…`. */
export const KAFKA_LIBS = process.env.KAFKA_LIBS ?? join(import.meta.dir, '../../.services/kafka-libs');

const isDownloaded = () =>
  existsSync(join(KAFKA_LIBS, 'pom.xml')) &&
  readFileSync(join(KAFKA_LIBS, 'pom.xml'), 'utf8') === readFileSync(POM, 'utf8');

/** The Debian packages that are missing for Kafka. */
export const missing = (): string[] => [
  ...(Bun.which('java') ? [] : ['default-jre-headless']),
  ...(isDownloaded() || Bun.which('mvn') ? [] : ['maven']),
];

/** Runs a command to its end; rejects with its output if it fails. */
const run = async (cmd: string[], what: string) => {
  const child = Bun.spawn(cmd, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, error] = await Promise.all([
    readableStreamToText(child.stdout),
    readableStreamToText(child.stderr),
    child.exited,
  ]);
  if (child.exitCode !== 0) throw new Error(`${what} failed:\n${out}${error}`);
};

/** Downloads Kafka's jars with Maven, once for each version named in the pom. Resolves to their folder. */
export const downloadKafka = async (): Promise<string> => {
  if (isDownloaded()) return KAFKA_LIBS;
  mkdirSync(join(KAFKA_LIBS, '..'), { recursive: true });
  const fresh = mkdtempSync(`${KAFKA_LIBS}-`);
  try {
    const copy = [
      'dependency:copy-dependencies',
      `-DoutputDirectory=${fresh}`,
      `-DmarkersDirectory=${fresh}/markers`,
    ];
    await run(['mvn', '--quiet', '--batch-mode', '--file', POM, ...copy], 'Downloading Kafka with Maven');
    writeFileSync(join(fresh, 'pom.xml'), readFileSync(POM));
    rmSync(KAFKA_LIBS, { recursive: true, force: true });
    renameSync(fresh, KAFKA_LIBS);
  } catch (error) {
    // Another start may have brought them meanwhile.
    if (!isDownloaded()) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return KAFKA_LIBS;
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
  // After a kill -9 the controller takes the broker back only when its old session is over: not in 9 s but in 3.
  'broker.session.timeout.ms': 3000,
  'broker.heartbeat.interval.ms': 500,
  // One node cannot keep the three replicas of the defaults; few partitions keep its start short.
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
  // An id that begins with a dash would be taken for an option.
  bytes[0] = 1;
  return Buffer.from(bytes).toString('base64url');
};

type Options = {
  dir: string;
  /** Of server.properties, in addition or instead; listeners beyond the one that is given. */
  more?: Record<string, string>;
  /** What `kafka-storage format` takes beyond the usual: users. */
  format?: string[];
  /** The same for all nodes of a cluster. */
  clusterId?: string;
  /** What java takes: the heap. */
  java?: string[];
};

/** An Apache Kafka node (KRaft) on 127.0.0.1 that keeps its data in `dir`. Gives `KAFKA_BROKERS`. */
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
  /** How many brokers, each of them a controller, too. */
  nodes: number;
  /** Of server.properties of each node. */
  more?: Record<string, string>;
};

export const kafkaNode = (index: number) => `kafka-${index + 1}`;

/**
 * A cluster of Apache Kafka on 127.0.0.1; each node keeps its data in a folder below `dir`. Topics have as many replicas as
 * there are nodes, and `acks: all` waits for all but one. A broker that is silent is fenced after Kafka's own 9 s.
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
  // All at once: none is up before most of the controllers are.
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
