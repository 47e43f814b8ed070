/**
 * A single-node Kafka broker for the embedded run and for fault tests: it speaks Kafka's wire protocol, so that every
 * Kafka client can talk to it, and keeps its messages in files below one directory. No replication, transactions,
 * authentication, retention or compaction: it is a way in, not a product.
 */
import { mkdirSync } from 'node:fs';
import { openCatalog } from './catalog.ts';
import { listen } from './connection.ts';
import { createFaults, type Faults } from './faults.ts';
import { groupApis } from './group-requests.ts';
import { createGroups } from './groups.ts';
import { messageApis } from './message-requests.ts';
import { createHandler } from './requests.ts';
import { topicApis } from './topic-requests.ts';
import { type Log, openTopics } from './topics.ts';

export type BrokerOptions = {
  /** Made if it is missing. One broker at a time may use it. */
  dataDir: string;
  /** 0 takes any free port. */
  port: number;
  host?: string;
  /** For topics that are made without saying how many. */
  defaultPartitions?: number;
  /** Whether asking for a topic makes it. */
  autoCreateTopics?: boolean;
  /** Least session timeout of consumers, in ms; Kafka's is 6000. */
  minSessionTimeout?: number;
  maxRequestBytes?: number;
};
export type Broker = {
  port: number;
  /** host:port, for a client's list of brokers. */
  brokers: string;
  faults: Faults;
  /** Closes every connection and file. */
  stop(): Promise<void>;
};

const silent: Log = { info() {}, warn() {}, error() {} };

/** The same error, as one line that says what to do. */
const explain = (error: unknown, dataDir: string): Error => {
  const { code, message } = error as { code?: unknown; message: string };
  const otherDirectory = 'or set DATA_DIR to another directory.';
  if (/^(EACCES|EPERM|EROFS|ENOTDIR|EEXIST|SQLITE_(CANTOPEN|READONLY))/.test(String(code))) {
    return new Error(`${dataDir} cannot be written (${message}). Make it writable, ${otherDirectory}`, {
      cause: error,
    });
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(String(code)) || message.includes('damaged')) {
    return new Error(`${dataDir} is corrupt (${message}). Move it away to begin anew, ${otherDirectory}`, {
      cause: error,
    });
  }
  return error as Error;
};

/** Starts the broker on the calling thread. Rejects with an error whose message is one line that says what to do. */
export const startBroker = async ({
  dataDir,
  port,
  host = '127.0.0.1',
  defaultPartitions = 1,
  autoCreateTopics = true,
  minSessionTimeout,
  maxRequestBytes = 100 * 1024 * 1024,
  log = silent,
}: BrokerOptions & { log?: Log }): Promise<Broker> => {
  const opened: { close(): void }[] = [];
  const close = () => {
    for (const part of opened.splice(0).reverse()) part.close();
  };
  try {
    const faults = createFaults();
    mkdirSync(dataDir, { recursive: true });
    const catalog = openCatalog(dataDir);
    opened.push(catalog);
    const topics = openTopics({ dataDir, catalog, faults, log, defaultPartitions });
    opened.push(topics);
    const groups = createGroups({ minSessionTimeout });
    opened.push(groups);

    const address = { host, port };
    const apis = {
      ...messageApis(topics),
      ...topicApis(topics, () => address, autoCreateTopics),
      ...groupApis({ groups, catalog, topics, faults, address: () => address }),
    };
    const server = listen({ host, port, maxRequestBytes, handle: createHandler({ apis, faults, log }), log });
    opened.push({ close: server.stop });
    address.port = server.port;
    return {
      port: server.port,
      brokers: `${host}:${server.port}`,
      faults,
      async stop() {
        close();
      },
    };
  } catch (error) {
    close();
    if ((error as { code?: unknown }).code === 'EADDRINUSE') {
      const text = `Port ${port} on ${host} is taken. Stop what listens there, or set KAFKA_BROKERS to use it.`;
      throw new Error(text, { cause: error });
    }
    throw explain(error, dataDir);
  }
};
