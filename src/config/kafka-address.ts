import type { KafkaAddress } from '../kafka/client.ts';
import type { Config } from './settings.ts';

type KafkaSettings = Pick<
  Config,
  'kafkaSsl' | 'kafkaCertificate' | 'kafkaKey' | 'saslMechanism' | 'saslUsername' | 'saslPassword'
>;

export const kafkaAddress = (config: KafkaSettings, brokers: string[]): KafkaAddress => ({
  brokers,
  ssl:
    config.kafkaSsl && config.kafkaCertificate && config.kafkaKey
      ? { cert: config.kafkaCertificate, key: config.kafkaKey }
      : config.kafkaSsl,
  sasl: config.saslMechanism
    ? {
        mechanism: config.saslMechanism as 'plain',
        username: config.saslUsername,
        password: config.saslPassword,
      }
    : undefined,
});
