import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs';
import type { Log } from '../observability/log.ts';
import { type Brokers, createBrokers } from './brokers.ts';
import { installDecoder } from './record-batches.ts';

/** How to connect to Kafka. Plain data, so that it can be sent to a worker. */
export type KafkaAddress = {
  brokers: string[];
  /** TLS; with a certificate and key in PEM where Kafka requires a client certificate. The broker's is always verified. */
  ssl: boolean | { cert: string; key: string };
  sasl: SASLOptions | undefined;
};

/**
 * A client. kafkajs logs ordinary changes of state (a rebalance, a lost connection) as errors, and repeatedly; so its lines are
 * logged at level `debug`, and the users of the client log changes of state.
 */
export const createKafka = (
  { brokers: configured, ssl, sasl }: KafkaAddress,
  clientId: string,
  log: Log,
  brokers: Brokers = createBrokers(configured, log),
): Kafka => {
  installDecoder();
  const config: KafkaConfig = {
    clientId,
    // Given the list, kafkajs would begin each client with the first broker, and forget the brokers that it has found since.
    brokers: () => [brokers.next()],
    socketFactory: brokers.connect,
    ssl,
    connectionTimeout: 3_000,
    // Requests that may take longer have a longer timeout of their own. After it the connection to the broker is closed.
    requestTimeout: 5_000,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 5 },
    logLevel: logLevel.INFO,
    logCreator:
      () =>
      ({ namespace, log: { message, timestamp: _, logger: __, ...details } }) =>
        log.debug({ kafkajs: namespace, ...details }, message),
  };
  if (sasl) config.sasl = sasl;
  return new Kafka(config);
};
