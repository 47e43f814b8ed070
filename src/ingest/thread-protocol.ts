import type { MetricObject } from 'prom-client';
import type { KafkaAddress } from '../kafka/client.ts';
import type { TracingSettings } from '../observability/tracing/tracing.ts';
import type { OrderUid } from '../order/order.ts';
import type { Summary } from '../order/summary.ts';
import type { PipelineSettings, PipelineState } from './pipeline.ts';

/** All that a consumer's thread needs, as plain data. */
export type ConsumerSettings = PipelineSettings & {
  /** The name of the thread in logs and metrics, and of its clients. */
  name: string;
  kafka: KafkaAddress;
  databaseUrl: string;
  databasePool: number;
  logLevel: string;
  tracing?: TracingSettings | undefined;
};

export type ToConsumer =
  | { type: 'start'; settings: ConsumerSettings }
  | { type: 'stop' }
  | { type: 'metrics'; request: number };

export type FromConsumer =
  /** Orders that a batch inserted: all uids, and summaries of the last few for the live list. */
  | { type: 'stored'; uids: OrderUid[]; newest: Summary[] }
  | { type: 'state'; state: PipelineState }
  /** Answers the request of the same number. */
  | { type: 'metrics'; request: number; metrics: MetricObject[] }
  /** Each second, as a sign of life. */
  | { type: 'alive' }
  | { type: 'stopped' };
