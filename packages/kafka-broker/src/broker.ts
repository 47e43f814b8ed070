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

const explainDirectory = (error: unknown, dataDir: string): Error => {
  const { code, message } = error as { code?: unknown; message: string };
  const otherwise = 'or set DATA_DIR to another directory.';
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(String(code)) || message.includes('damaged')) {
    return new Error(`${dataDir} is corrupt (${message}). Move it away to begin anew, ${otherwise}`, {
      cause: error,
    });
  }
  // Without a code it is one of ours and says all there is to say.
  if (code === undefined) return error as Error;
  const text = `${dataDir} cannot be written (${message}). Make it writable and see that there is room, ${otherwise}`;
  return new Error(text, { cause: error });
};

const explainPort = (error: unknown, host: string, port: number): Error => {
  const { code, message } = error as { code?: unknown; message: string };
  const text =
    code === 'EADDRINUSE'
      ? `Port ${port} on ${host} is taken. Stop what listens there, or set KAFKA_BROKERS to use it.`
      : `The broker cannot listen on port ${port} of ${host} (${message}).`;
  return new Error(text, { cause: error });
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
  const keep = <T extends { close(): void }>(part: T): T => {
    opened.push(part);
    return part;
  };
  const faults = createFaults();
  const openStorage = () => {
    try {
      mkdirSync(dataDir, { recursive: true });
      const catalog = keep(openCatalog(dataDir));
      const topics = keep(openTopics({ dataDir, catalog, faults, log, defaultPartitions }));
      return { catalog, topics };
    } catch (error) {
      close();
      throw explainDirectory(error, dataDir);
    }
  };

  const { catalog, topics } = openStorage();
  const groups = keep(createGroups({ minSessionTimeout }));
  const address = { host, port };
  const apis = {
    ...messageApis(topics),
    ...topicApis(topics, address, autoCreateTopics),
    ...groupApis({ groups, catalog, topics, faults, address }),
  };
  const handle = createHandler({ apis, faults, log });
  try {
    // The port that clients are told is the one it got, which is not the one asked for if that was 0.
    address.port = keep(listen({ host, port, maxRequestBytes, handle, log })).port;
  } catch (error) {
    close();
    throw explainPort(error, host, port);
  }
  return {
    port: address.port,
    brokers: `${host}:${address.port}`,
    faults,
    async stop() {
      close();
    },
  };
};
