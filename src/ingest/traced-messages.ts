import { textOf } from '../kafka/headers.ts';
import type { Message } from '../kafka/message.ts';
import { sendSpan } from '../kafka/traced-send.ts';
import type { TraceHeaders, Tracing } from '../observability/tracing/tracing.ts';
import type { Group } from '../postgres/offsets.ts';
import type { DeadLetters } from './dead-letter.ts';
import type { Ingest } from './ingest.ts';

/** Spans of batches and of their dead letters. Traces pass from process to process in the headers of messages. */

/** A span for the dead letters of a batch. They keep their headers, and so the trace in which the message was produced. */
export const traceDeadLetters =
  (topic: string) =>
  (tracing: Tracing, letters: DeadLetters): DeadLetters => ({
    send: (batch) => tracing.span(sendSpan(topic, batch.length), () => letters.send(batch)),
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
