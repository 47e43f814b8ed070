import { retry } from '../async/retry.ts';
import { interruptedStatus, stopOnSignals } from '../async/signals.ts';
import { raceAbort } from '../async/timeouts.ts';
import { brokersOf } from '../cli/kafka.ts';
import type { ConfigOf, reads } from '../cli/reads.ts';
import { kafkaAddress } from '../config/kafka-address.ts';
import { orderRules } from '../config/order-rules.ts';
import { tracingSettings } from '../config/tracing-settings.ts';
import { acknowledgedBefore } from '../kafka/acknowledged.ts';
import { createKafka } from '../kafka/client.ts';
import { isCausedBy } from '../kafka/error-type.ts';
import { isFinal } from '../kafka/retry.ts';
import { tooLarge } from '../kafka/sender.ts';
import { createTopics } from '../kafka/topics.ts';
import { traceSend } from '../kafka/traced-send.ts';
import { createLog } from '../observability/log.ts';
import { openTracing, tracedBy } from '../observability/tracing/tracing.ts';
import { openFile } from './file.ts';
import { type Message, madeMessages } from './messages.ts';
import type { Options } from './options.ts';
import { sendPaced } from './pace.ts';
import { createPartitioner } from './partitioner.ts';
import { createProgress } from './progress.ts';

/** What a batch takes besides its messages, and tracing adds to a message, at most. */
const batchFrameBytes = 1_024;

/** The client's request timeout; kafkajs would wait 30 s for a broker that hangs. */
const ackTimeoutMs = 5_000;

/**
 * Sends the messages that the options ask for. Resolves with status 0 when all of them are acknowledged; with 1 when some were
 * too large for the topic, which are named. After Ctrl-C or SIGTERM those in flight are still acknowledged; the status is then 0
 * for an endless stream, and otherwise that of the signal unless all were sent. While Kafka is unavailable it keeps retrying.
 * Rejects with an Error of one line for a file that holds anything but orders: before anything is sent, unless it is standard
 * input.
 */
export const execute = async (options: Options, config: ConfigOf<typeof reads.producer>): Promise<number> => {
  const brokers = brokersOf(config);
  const file = options.file === undefined ? undefined : openFile(options.file);
  const fileName = file?.isStandardInput ? 'standard input' : options.file;
  const progress = createProgress({
    noun: file ? 'message' : 'order',
    notYet: `No Kafka at ${brokers} yet${config.brokers ? '' : ': start Order Lookup, or set KAFKA_BROKERS'}. Still trying.`,
    unavailable: `Kafka at ${brokers} does not answer. Still trying.`,
    quiet: options.quiet ?? false,
  });
  const stop = stopOnSignals(progress.stopping);

  // Silent: `progress` reports errors of Kafka.
  const log = createLog('silent', 'producer');
  const kafka = createKafka(kafkaAddress(config, brokers), 'order-producer', log);
  const producer = kafka.producer({ idempotent: true, createPartitioner });
  const tracing = await openTracing(
    tracingSettings(config, 'order-producer'),
    createLog(options.quiet ? 'silent' : 'warn', 'producer'),
  );
  let topicBytes = 0;
  const connect = async () => {
    await producer.connect();
    topicBytes = await createTopics(kafka, config, log);
  };
  const deliver = (batch: Message[]) => {
    let rest = batch;
    const sending = async () => {
      try {
        await producer.send({ topic: config.topic, acks: -1, timeout: ackTimeoutMs, messages: rest });
      } catch (error) {
        const acknowledged = acknowledgedBefore(error);
        rest = rest.filter((message) => !acknowledged.has(message));
        throw error;
      }
    };
    // Not stopped by a signal: messages in flight have to be acknowledged.
    const never = new AbortController().signal;
    return retry(sending, { signal: never, isFinal });
  };
  const deliverTraced = tracedBy(tracing)(traceSend(config.topic), deliver);
  let total = options.count;
  const isEndless = !file && total === undefined;
  let isComplete = false;
  const isStopped = () => stop.aborted && !isEndless && !isComplete;
  let leftOut = 0;
  const send = async (batch: Message[]) => {
    try {
      await progress.track(batch, deliverTraced(batch));
    } catch (error) {
      const [message, ...others] = batch;
      if (!file || !message || others.length > 0 || !isCausedBy(error, tooLarge)) throw error;
      leftOut += 1;
      progress.report(
        `${fileName}, line ${message.line}: the message of ${message.value?.length} bytes${message.key === null ? '' : ` with the key ${JSON.stringify(message.key)}`} is left out: it is too large for the topic ${config.topic} (max.message.bytes ${topicBytes})`,
      );
    }
  };
  /** Names the file in its fault, and what became of the messages before it. */
  const describeFault = (fault: Error) => {
    const sent = progress.sent();
    const before = sent === 0 ? 'nothing was sent' : `sent before it: ${sent}`;
    return new Error(`${fileName}, ${fault.message} (${before})`);
  };

  try {
    if (file && !file.isStandardInput) {
      const checking = file.check(options.count ?? Number.POSITIVE_INFINITY, stop);
      total = await progress.whileChecking(String(fileName), file.shareRead, checking);
    }
    await progress.waitForKafka(raceAbort(stop, retry(connect, { signal: stop, isFinal })));
    progress.start(file && total);
    isComplete = await sendPaced({
      messages: file ? file.messages() : madeMessages(options, orderRules(config)),
      count: options.count,
      rate: options.rate ?? (file ? 0 : 1),
      maxBatchBytes: topicBytes - batchFrameBytes,
      send,
      signal: stop,
    });
    await producer.disconnect();
  } catch (error) {
    if (error instanceof Error && error === file?.fault()) throw describeFault(error);
    if (error !== stop.reason) throw error;
  } finally {
    progress.finish(isStopped() ? { of: total } : undefined);
    await tracing?.close();
  }
  if (isStopped()) return interruptedStatus(stop);
  return leftOut > 0 ? 1 : 0;
};
