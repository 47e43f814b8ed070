import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs';
import type { Log } from '../observability/log.ts';
import { type Brokers, createBrokers } from './brokers.ts';
import { installDecoder } from './record-batches.ts';

/** How to reach Kafka; plain data, so that it can be sent to a worker. */
export type KafkaAddress = {
  brokers: string[];
  /** Whether there is TLS; the certificate and key in PEM, where Kafka asks for one. The broker's is always verified. */
  ssl: boolean | { cert: string; key: string };
  sasl: SASLOptions | undefined;
};

/**
 * A client. kafkajs calls an error what is an ordinary change of state (a rebalance, a connection lost), and repeats it;
 * so its lines are ours at level `debug`, and who uses the client logs the changes of state.
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
    // kafkajs itself begins each client with the first of the list, and forgets what it has learned of the cluster.
    brokers: () => [brokers.next()],
    socketFactory: brokers.connect,
    ssl,
    connectionTimeout: 3_000,
    // What may rightly take longer has a longer one of its own. A broker that is silent for so long is left.
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
