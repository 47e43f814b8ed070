import type { MetricObject } from 'prom-client';
import type { KafkaAddress } from '../kafka/client.ts';
import type { TracingSettings } from '../observability/tracing/tracing.ts';
import type { OrderUid } from '../order/order.ts';
import type { Summary } from '../order/summary.ts';

/** What a consumer's thread needs to know, as plain data. */
export type ConsumerSettings = {
  name: string;
  kafka: KafkaAddress;
  topic: string;
  deadLetterTopic: string;
  groupId: string;
  partitions: number;
  /** What a batch may hold when it is decompressed, in bytes; otherwise it is by what the topic takes. */
  maxBatchBytes?: number | null;
  databaseUrl: string;
  databasePool: number;
  logLevel: string;
  tracing?: TracingSettings | undefined;
};

/** Why a service does not work, for a consumer; undefined while it does. */
export type ServiceReasons = {
  kafka: string | undefined;
  postgres: string | undefined;
  /** What is wrong with Kafka though orders are read and stored; undefined while nothing is. */
  kafkaDegraded: string | undefined;
  /** What is wrong with where it reads, which does not keep it from reading. */
  offsets: string | undefined;
};

/** `thread`: why the consumer's thread does not run; undefined while it does. */
export type ConsumerState = ServiceReasons & { name: string; thread: string | undefined };

export type ToConsumer =
  | { type: 'start'; settings: ConsumerSettings }
  | { type: 'stop' }
  | { type: 'metrics'; request: number };

export type FromConsumer =
  /** Orders that are new in PostgreSQL: all their uids, and the last few as they are shown. */
  | { type: 'stored'; uids: OrderUid[]; newest: Summary[] }
  | { type: 'state'; state: ServiceReasons }
  | { type: 'metrics'; request: number; metrics: MetricObject[] }
  | { type: 'stopped' };
