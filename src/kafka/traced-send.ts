import type { Tracing } from '../observability/tracing/tracing.ts';

/** The span of sending messages to a topic. */
export const sendSpan = (topic: string, messages: number) => ({
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
    tracing.span(sendSpan(topic, batch.length), () => {
      const headers = { ...tracing.headers() };
      return send(batch.map((message) => ({ ...message, headers })));
    });
