import { kafkaAddress } from '../../config/kafka-address.ts';
import { orderRules } from '../../config/order-rules.ts';
import type { Config } from '../../config/settings.ts';
import type { LetterSettings } from '../../dead-letters/operations.ts';

/** What the thread of dead letters needs. */
export const letterSettings = (config: Config, brokers: string[]): LetterSettings => ({
  kafka: kafkaAddress(config, brokers),
  topic: config.topic,
  deadLetterTopic: config.deadLetterTopic,
  rules: orderRules(config),
  maxBatchBytes: config.maxBatchBytes,
});
