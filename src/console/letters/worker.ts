/**
 * The thread that reads and changes dead letters. It has an event loop of its own, as decoding a topic, and letters that are made to
 * take long, would delay lookups.
 */
import {
  createLetterOperations,
  type LetterOperations,
  type LetterSettings,
} from '../../dead-letters/operations.ts';
import { kafkaUnavailable } from '../../kafka/retry.ts';
import { errorText } from '../../observability/error-text.ts';
import type { FromThread, OperationName, ToThread } from './protocol.ts';

declare const self: Worker;

const send = (message: FromThread) => self.postMessage(message);

const start = (settings: LetterSettings) => {
  const operations = createLetterOperations(settings);
  const running = new Map<number, AbortController>();
  return {
    async call(id: number, name: OperationName, input: unknown) {
      const cancel = new AbortController();
      running.set(id, cancel);
      try {
        const run = operations[name] as (input: unknown, run: object) => ReturnType<LetterOperations['list']>;
        const result = await run(input, {
          signal: cancel.signal,
          onProgress: (progress: never) => send({ type: 'progress', id, progress }),
        });
        send({ type: 'result', id, result });
      } catch (error) {
        const isUnavailable = (error as { code?: unknown }).code === kafkaUnavailable;
        send({ type: 'failed', id, message: errorText(error), isUnavailable });
      } finally {
        running.delete(id);
      }
    },
    cancel: (id: number) => running.get(id)?.abort(new Error('cancelled')),
  };
};

let started: ReturnType<typeof start> | undefined;

self.onmessage = ({ data }: MessageEvent<ToThread>) => {
  if (data.type === 'start') started = start(data.settings);
  else if (data.type === 'call') void started?.call(data.id, data.name, data.input);
  else started?.cancel(data.id);
};
