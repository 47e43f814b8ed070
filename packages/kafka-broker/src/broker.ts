/**
 * A single-node Kafka broker for first runs and for tests: it speaks Kafka's wire protocol, so that every Kafka client can
 * use it, and keeps its messages below one directory or in memory. No replication, transactions, authentication or
 * compaction: it is a way in, not a product.
 */
import { mkdirSync } from 'node:fs';
import { openCatalog } from './catalog.ts';
import { configApis } from './config-requests.ts';
import { listen } from './connection.ts';
import { createFaults, type Faults } from './faults.ts';
import { groupApis } from './group-requests.ts';
import { createGroups, type WantedGroup } from './groups.ts';
import { messageApis } from './message-requests.ts';
import { createHandler } from './requests.ts';
import type { TopicConfig } from './topic-config.ts';
import { type Advertise, topicApis } from './topic-requests.ts';
import { type Log, openTopics } from './topics.ts';

export type BrokerOptions = {
  /** Created if it is missing. One broker at a time may use it. Without it everything is kept in memory only. */
  dataDir?: string;
  /** 0 means any free port. */
  port: number;
  /** Where it listens; 127.0.0.1 by default. */
  host?: string;
  /**
   * The host that clients are sent to. By default `host`; where that is every address (0.0.0.0 or ::), each client is sent
   * to the address at which it reached the broker.
   */
  advertisedHost?: string;
  /** For topics that are made without saying how many. */
  defaultPartitions?: number;
  /** Whether a metadata request for a missing topic creates it. */
  autoCreateTopics?: boolean;
  /** Settings of topics that have none of their own, such as `retention.ms`. */
  topicDefaults?: TopicConfig;
  /** What errors at the start advise, at their end: how the program that embeds the broker sets these. */
  advice?: { directory: string; port: string };
  /** How often records past their retention are looked for, in ms; 5 minutes by default, as in Kafka. */
  retentionCheckMs?: number;
  /** Minimum session timeout of consumers, in ms; Kafka's is 6000. */
  minSessionTimeout?: number;
  maxRequestBytes?: number;
};
export type Broker = {
  port: number;
  /** host:port, for a client's list of brokers. */
  brokers: string;
  faults: Faults;
  /** Resolves when the consumer group has the expected state; rejects after `timeoutMs` (10 s) with its actual state. */
  waitForGroup(group: string, wanted?: WantedGroup): Promise<void>;
  /** Back to an empty broker: no topics, groups, offsets and faults. Connections stay. */
  reset(): void;
  /** Closes every connection and file. */
  stop(): Promise<void>;
};

const silent: Log = { info() {}, warn() {}, error() {} };
const everyAddress = ['0.0.0.0', '::'];
const sameWarningMs = 60_000;

/** A client that keeps retrying is logged once a minute, not at each attempt. */
const withoutRepetition = (log: Log): Log => {
  const warned = new Map<string, number>();
  return {
    ...log,
    warn(fields, text) {
      const key = text + JSON.stringify(fields);
      const now = performance.now();
      if (now - (warned.get(key) ?? Number.NEGATIVE_INFINITY) < sameWarningMs) return;
      if (warned.size >= 1000) warned.clear();
      warned.set(key, now);
      log.warn(fields, text);
    },
  };
};

const explainDirectory = (error: unknown, dataDir: string, otherDirectory: string): Error => {
  const { code, message } = error as { code?: unknown; message: string };
  const otherwise = `or ${otherDirectory}.`;
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(String(code)) || message.includes('damaged')) {
    return new Error(
      `${dataDir} is corrupt (${message}). Move it away to start with empty data, ${otherwise}`,
      {
        cause: error,
      },
    );
  }
  // Without a code it is an error of the broker, whose message is complete.
  if (code === undefined) return error as Error;
  const text = `${dataDir} cannot be written (${message}). Make it writable and see that there is room, ${otherwise}`;
  return new Error(text, { cause: error });
};

const explainPort = (error: unknown, host: string, port: number, otherPort: string): Error => {
  const { code, message } = error as { code?: unknown; message: string };
  const text =
    code === 'EADDRINUSE'
      ? `Port ${port} on ${host} is taken. Stop what listens there, or ${otherPort}.`
      : `The broker cannot listen on port ${port} of ${host} (${message}).`;
  return new Error(text, { cause: error });
};

/** Starts the broker on the calling thread. Rejects with an error whose message is one line that says what to do. */
export const startBroker = async ({
  dataDir,
  port,
  host = '127.0.0.1',
  advertisedHost,
  topicDefaults = {},
  advice = { directory: 'use another directory', port: 'choose another port' },
  retentionCheckMs = 5 * 60_000,
  defaultPartitions = 1,
  autoCreateTopics = true,
  minSessionTimeout,
  maxRequestBytes = 100 * 1024 * 1024,
  log: everyLine = silent,
}: BrokerOptions & { log?: Log }): Promise<Broker> => {
  const opened: { close(): void }[] = [];
  const close = () => {
    for (const part of opened.splice(0).reverse()) part.close();
  };
  const keep = <T extends { close(): void }>(part: T): T => {
    opened.push(part);
    return part;
  };
  const log = withoutRepetition(everyLine);
  const faults = createFaults();
  const openStorage = () => {
    try {
      if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true });
      const catalog = keep(openCatalog(dataDir, advice.directory));
      const options = { dataDir, catalog, faults, log, defaultPartitions, topicDefaults, retentionCheckMs };
      const topics = keep(openTopics(options));
      return { catalog, topics };
    } catch (error) {
      close();
      throw dataDir === undefined ? error : explainDirectory(error, dataDir, advice.directory);
    }
  };

  const { catalog, topics } = openStorage();
  const groups = keep(createGroups({ minSessionTimeout }));
  const isEverywhere = everyAddress.includes(host);
  let listening = port;
  const advertise: Advertise = ({ localHost }) => ({
    host: advertisedHost ?? (isEverywhere ? localHost.replace(/^::ffff:/, '') : host),
    port: listening,
  });
  const apis = {
    ...messageApis(topics),
    ...topicApis(topics, advertise, autoCreateTopics),
    ...configApis(topics),
    ...groupApis({ groups, catalog, topics, faults, advertise }),
  };
  const handle = createHandler({ apis, faults, log });
  try {
    // The port that clients are sent to is the one it got, which is not the one asked for if that was 0.
    listening = keep(listen({ host, port, maxRequestBytes, handle, log })).port;
  } catch (error) {
    close();
    throw explainPort(error, host, port, advice.port);
  }
  const reachable = advertisedHost ?? (isEverywhere ? '127.0.0.1' : host);
  return {
    port: listening,
    brokers: `${reachable.includes(':') ? `[${reachable}]` : reachable}:${listening}`,
    faults,
    waitForGroup: (group, wanted = {}) => groups.waitFor(group, wanted),
    reset() {
      faults.clear();
      groups.clear();
      topics.clear();
    },
    async stop() {
      close();
    },
  };
};
