import { textOf } from '../kafka/headers.ts';
import type { Message } from '../kafka/message.ts';
import type { TraceHeaders, Tracing } from '../observability/tracing/tracing.ts';
import type { Group } from '../postgres/offsets.ts';
import type { DeadLetters } from './dead-letter.ts';
import type { Ingest } from './ingest.ts';

/** Spans of sending to Kafka and of processing batches. Traces pass from process to process in the headers of messages. */

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

/** A span for each batch that is sent. Its messages get the headers of the trace, which replace any others. */
export const traceSend =
  (topic: string) =>
  <M extends object, T>(tracing: Tracing, send: Send<M, T>): Send<M, T> =>
  (batch) =>
    tracing.span(sending(topic, batch.length), () => {
      const headers = { ...tracing.headers() };
      return send(batch.map((message) => ({ ...message, headers })));
    });

/** A span for the dead letters of a batch. They keep their headers, and so the trace in which the message was produced. */
export const traceDeadLetters =
  (topic: string) =>
  (tracing: Tracing, letters: DeadLetters): DeadLetters => ({
    send: (batch) => tracing.span(sending(topic, batch.length), () => letters.send(batch)),
  });

/** A span for each batch, in the trace of the first message with a sampled one, and with links to the traces of the others. */
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
      { name: `process ${topic}`, kind: 'consumer', attributes, from: traceHeadersOf(messages) },
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

function* traceHeadersOf(messages: readonly Message[]): Generator<TraceHeaders> {
  for (const { headers } of messages) {
    const traceparent = textOf(headers, 'traceparent');
    if (traceparent === undefined) continue;
    const tracestate = textOf(headers, 'tracestate');
    yield { traceparent, ...(tracestate !== undefined && { tracestate }) };
  }
}
