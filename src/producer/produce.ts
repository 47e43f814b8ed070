import { retry } from '../async/retry.ts';
import { stopOnSignals } from '../async/signals.ts';
import { raceAbort } from '../async/timeouts.ts';
import { brokersOf } from '../cli/kafka.ts';
import { kafkaAddress } from '../config/kafka-address.ts';
import type { Config } from '../config/settings.ts';
import { tracingSettings } from '../config/tracing-settings.ts';
import { traceSend } from '../ingest/traced-messages.ts';
import { createKafka } from '../kafka/client.ts';
import { isFinal } from '../kafka/retry.ts';
import { ensureTopics } from '../kafka/topics.ts';
import { createLog } from '../observability/log.ts';
import { openTracing, tracedBy } from '../observability/tracing/tracing.ts';
import { fileMessages, limited, type Message, madeMessages } from './messages.ts';
import type { Options } from './options.ts';
import { sendPaced } from './pace.ts';
import { createProgress } from './progress.ts';

/** The client's request timeout; kafkajs would wait 30 s for a broker that hangs. */
const ackTimeoutMs = 5_000;

/**
 * Sends the messages that the options ask for. Resolves with status 0 when all of them are acknowledged or, after Ctrl-C or
 * SIGTERM, those in flight. While Kafka is unavailable it keeps retrying.
 */
export const execute = async (options: Options, config: Config): Promise<number> => {
  const brokers = brokersOf(config);
  const progress = createProgress({
    noun: options.file ? 'message' : 'order',
    notYet: `No Kafka at ${brokers} yet${config.brokers ? '' : ': start Order Lookup, or set KAFKA_BROKERS'}. Still trying.`,
    unavailable: `Kafka at ${brokers} does not answer. Still trying.`,
    quiet: options.quiet ?? false,
  });
  const stop = stopOnSignals(progress.stopping);

  // Silent: `progress` reports errors of Kafka.
  const log = createLog('silent', 'producer');
  const kafka = createKafka(kafkaAddress(config, brokers), 'order-producer', log);
  const producer = kafka.producer({ idempotent: true });
  const tracing = await openTracing(
    tracingSettings(config, 'order-producer'),
    createLog(options.quiet ? 'silent' : 'warn', 'producer'),
  );
  const connect = async () => {
    await producer.connect();
    await ensureTopics(kafka, config, log);
  };
  const deliver = (batch: Message[]) => {
    const sending = () =>
      producer.send({ topic: config.topic, acks: -1, timeout: ackTimeoutMs, messages: batch });
    // Not stopped by a signal: messages in flight have to be acknowledged.
    const never = new AbortController().signal;
    return retry(sending, { signal: never, isFinal });
  };
  const deliverTraced = tracedBy(tracing)(traceSend(config.topic), deliver);
  const send = (batch: Message[]) => progress.track(batch, deliverTraced(batch));

  try {
    await progress.waitForKafka(raceAbort(stop, retry(connect, { signal: stop, isFinal })));
    progress.start();
    const messages = options.file ? fileMessages(options.file) : madeMessages(options);
    await sendPaced({
      messages: limited(messages, options.count),
      rate: options.rate ?? (options.file ? 0 : 1),
      send,
      signal: stop,
    });
    await producer.disconnect();
  } catch (error) {
    if (error !== stop.reason) throw error;
  } finally {
    progress.finish();
    await tracing?.close();
  }
  return 0;
};
