import type { ConsumerSettings } from '../ingest/thread-protocol.ts';
import { kafkaAddress } from './kafka-address.ts';
import { orderRules } from './order-rules.ts';
import type { Config } from './settings.ts';
import { tracingSettings } from './tracing-settings.ts';

type Addresses = { brokers: string[]; groupId: string; databaseUrl: string };

/** The settings of the consumer thread with this number, from 1. */
export const consumerSettings = (
  config: Config,
  { brokers, groupId, databaseUrl }: Addresses,
  number: number,
): ConsumerSettings => ({
  name: `consumer-${number}`,
  kafka: kafkaAddress(config, brokers),
  topic: config.topic,
  deadLetterTopic: config.deadLetterTopic,
  groupId,
  rules: orderRules(config),
  partitions: config.partitions,
  maxBatchBytes: config.maxBatchBytes,
  letterRetentionDays: config.letterRetentionDays,
  tombstones: config.tombstones,
  databaseUrl,
  databasePool: config.databasePool,
  logLevel: config.logLevel,
  tracing: tracingSettings(config, serviceName),
});

/** `service.name` of the program's spans. */
export const serviceName = 'order-lookup';
