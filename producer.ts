/** Command line: sends fake orders, or those of a file, to Kafka. `--help` says how. */
import { KafkaJSError } from 'kafkajs';
import { retry } from './src/async/retry.ts';
import { stopOnSignals } from './src/async/signals.ts';
import { kafkaAddress } from './src/config/kafka-address.ts';
import { type Config, readConfig } from './src/config/settings.ts';
import { tracingSettings } from './src/config/tracing-settings.ts';
import { traceSend } from './src/ingest/traced-messages.ts';
import { createKafka } from './src/kafka/client.ts';
import { isFinal } from './src/kafka/retry.ts';
import { ensureTopics } from './src/kafka/topics.ts';
import { createLog } from './src/observability/log.ts';
import { openTracing, tracedBy } from './src/observability/tracing/tracing.ts';
import { fileMessages, limited, type Message, madeMessages } from './src/producer/messages.ts';
import { help, type Options, readOptions } from './src/producer/options.ts';
import { sendPaced } from './src/producer/pace.ts';
import { createProgress } from './src/producer/progress.ts';

/** Sends what the options ask for. Resolves when all of it is acknowledged, or after `stop` what was in flight. */
const produce = async (options: Options, config: Config) => {
  const brokers = config.brokers ?? ['127.0.0.1:9092'];
  const progress = createProgress({
    noun: options.file ? 'message' : 'order',
    notYet: `No Kafka at ${brokers} yet${config.brokers ? '' : ': start Order Lookup, or set KAFKA_BROKERS'}. Still trying.`,
    away: `Kafka at ${brokers} does not answer. Still trying.`,
    quiet: options.quiet ?? false,
  });
  const stop = stopOnSignals(progress.stopping);

  // What kafkajs has to say is said by `progress`.
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
    const sending = () => producer.send({ topic: config.topic, acks: -1, messages: batch });
    // Not until `stop`: what is in flight is waited for.
    const forever = new AbortController().signal;
    return retry(sending, { signal: forever, isFinal });
  };
  const deliverTraced = tracedBy(tracing)(traceSend(config.topic), deliver);
  const send = (batch: Message[]) => progress.track(batch, deliverTraced(batch));

  try {
    await progress.patiently(Promise.race([retry(connect, { signal: stop, isFinal }), aborted(stop)]));
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
};

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

const run = async (): Promise<number> => {
  let options: Options | 'help';
  let config: Config;
  try {
    options = readOptions(process.argv.slice(2));
    config = readConfig(process.env);
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
  if (options === 'help') {
    console.log(help());
    return 0;
  }
  try {
    await produce(options, config);
    return 0;
  } catch (error) {
    console.error(error instanceof KafkaJSError ? `Kafka refuses: ${error.message}` : error);
    return 1;
  }
};

// kafkajs may be in the middle of connecting, which it does not interrupt.
process.exit(await run());
