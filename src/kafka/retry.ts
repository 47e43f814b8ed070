import { KafkaJSError } from 'kafkajs';
import { retry } from '../async/retry.ts';
import { raceAbort } from '../async/timeouts.ts';
import { errorText } from '../observability/error-text.ts';

/** Whether another attempt is useless: Kafka has answered with a refusal, or the error is not one of kafkajs. */
export const isFinal = (error: unknown): boolean => {
  if (!(error instanceof KafkaJSError)) return true;
  // kafkajs wraps the error after which it gave up in one that is never retriable; the cause decides.
  return error.cause instanceof Error ? isFinal(error.cause) : !error.retriable;
};

/** The `code` of the error of an operation that had no success in its time. */
export const kafkaUnavailable = 'KAFKA_UNAVAILABLE';

/** Runs an operation on Kafka, and runs it again after errors that may pass. */
export type RetryKafka = <T>(operation: () => Promise<T>) => Promise<T>;

/**
 * For commands that a person waits for. Each operation has `ms` to succeed; then it rejects with one line that names
 * `brokers` and the last reason.
 */
export const retryKafkaFor =
  (ms: number, brokers: string): RetryKafka =>
  async (operation) => {
    const signal = AbortSignal.timeout(ms);
    let reason = '';
    const failed = (error: unknown) => {
      reason = `: ${errorText(error)}`;
    };
    try {
      return await raceAbort(signal, retry(operation, { signal, isFinal, failed }));
    } catch (error) {
      if (error !== signal.reason) throw error;
      const text = `Kafka at ${brokers} does not answer${reason}`;
      throw Object.assign(new Error(text), { code: kafkaUnavailable });
    }
  };
