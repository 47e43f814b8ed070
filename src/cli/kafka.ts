import { kafkaAddress } from '../config/kafka-address.ts';
import type { Config } from '../config/settings.ts';
import { createKafka } from '../kafka/client.ts';
import { retryKafkaFor } from '../kafka/retry.ts';
import { createLog } from '../observability/log.ts';

const operationTimeoutMs = 10_000;

/** The brokers of a command, which uses those of `bun start` unless others are configured. */
export const brokersOf = ({ brokers }: Pick<Config, 'brokers'>): string[] => brokers ?? ['127.0.0.1:9092'];

/** A Kafka client for a command. It logs nothing: `retryKafka` rejects with one line if an operation fails for 10 s. */
export const openKafka = (
  config: Parameters<typeof kafkaAddress>[0] & Pick<Config, 'brokers'>,
  clientId: string,
) => {
  const brokers = brokersOf(config);
  const kafka = createKafka(kafkaAddress(config, brokers), clientId, createLog('silent', clientId));
  const address = `${brokers}${config.brokers ? '' : ' (KAFKA_BROKERS is not set; does `bun start` run?)'}`;
  return { kafka, retryKafka: retryKafkaFor(operationTimeoutMs, address) };
};
