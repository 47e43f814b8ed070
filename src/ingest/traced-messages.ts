import type { IHeaders } from 'kafkajs';
import type { TraceHeaders, Tracing } from '../observability/tracing/tracing.ts';
import type { Group } from '../postgres/offsets.ts';
import type { DeadLetters, Message } from './dead-letter.ts';
import type { createIngest } from './ingest.ts';

/** Messages of Kafka: where a trace leaves a process, and where it enters the next. */

const sending = (topic: string, messages: number) => ({
  name: `send ${topic}`,
  kind: 'producer' as const,
  attributes: {
    'messaging.system': 'kafka',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': topic,
    'messaging.batch.message_count': messages,
  },
});

type Send<M, T> = (batch: M[]) => Promise<T>;

/** A span for each batch that is sent, which every message of it carries in its headers; it has no others. */
export const traceSend =
  (topic: string) =>
  <M extends object, T>(tracing: Tracing, send: Send<M, T>): Send<M, T> =>
  (batch) =>
    tracing.span(sending(topic, batch.length), () => {
      const headers = { ...tracing.headers() };
      return send(batch.map((message) => ({ ...message, headers })));
    });

/** A span for the letters of a batch. Their headers are left as they came, and so say what trace the message began in. */
export const traceDeadLetters =
  (topic: string) =>
  (tracing: Tracing, letters: DeadLetters): DeadLetters => ({
    send: (batch) => tracing.span(sending(topic, batch.length), () => letters.send(batch)),
  });

type Ingest = ReturnType<typeof createIngest>;

/**
 * A span for each batch, within the trace of its first message that has one that is sampled, and with links to those of
 * the others.
 */
export const traceIngest =
  ({ groupId, topic }: Group) =>
  (tracing: Tracing, ingest: Ingest): Ingest =>
  (batch, signal) => {
    const { messages, partition, from } = batch;
    const attributes = {
      'messaging.system': 'kafka',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': String(partition),
      'messaging.consumer.group.name': groupId,
      'messaging.batch.message_count': messages.length,
      'messaging.kafka.offset': Number(messages[0]?.offset ?? from),
    };
    return tracing.span(
      { name: `process ${topic}`, kind: 'consumer', attributes, from: cameWith(messages) },
      async (span) => {
        const outcome = await ingest(batch, signal);
        span.set({
          'orders.stored': outcome.stored.length,
          'orders.duplicates': outcome.duplicates,
          'orders.dead_letters': outcome.letters.length,
        });
        return outcome;
      },
    );
  };

function* cameWith(messages: readonly Message[]): Generator<TraceHeaders> {
  for (const { headers } of messages) {
    const traceparent = textOf(headers?.traceparent);
    if (traceparent === undefined) continue;
    const tracestate = textOf(headers?.tracestate);
    yield { traceparent, ...(tracestate !== undefined && { tracestate }) };
  }
}

/** A header's value, or the last one if a message has it more than once. */
const textOf = (held: IHeaders[string]) => (Array.isArray(held) ? held.at(-1) : held)?.toString();
