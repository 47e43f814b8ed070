import type { LetterSettings, Progress } from '../../dead-letters/operations.ts';
import type { FromThread, Input, OperationName, Result, ToThread } from './protocol.ts';

/** Kafka did not answer, so nothing is known of the letters. */
class LettersUnavailable extends Error {}
export const isUnavailable = (error: unknown) => error instanceof LettersUnavailable;

type Call = {
  resolve: (result: never) => void;
  reject: (error: Error) => void;
  onProgress: ((progress: Progress) => void) | undefined;
};

type Run = {
  onProgress?: (progress: Progress) => void;
  /** A change stops after the batch in flight. */
  signal?: AbortSignal;
};

/** Runs the operations on dead letters in a thread, which starts with the first of them. */
export const createLettersThread = (settings: LetterSettings) => {
  const calls = new Map<number, Call>();
  let lastId = 0;
  let worker: Worker | undefined;

  const settle = (data: FromThread) => {
    const call = calls.get(data.id);
    if (!call) return;
    if (data.type === 'progress') return call.onProgress?.(data.progress);
    calls.delete(data.id);
    if (data.type === 'result') call.resolve(data.result as never);
    else call.reject(data.isUnavailable ? new LettersUnavailable(data.message) : new Error(data.message));
  };

  const start = (): Worker => {
    const thread = new Worker(new URL('./worker.ts', import.meta.url));
    thread.onmessage = ({ data }: MessageEvent<FromThread>) => settle(data);
    thread.addEventListener('close', () => {
      // The next call starts another one.
      if (worker === thread) worker = undefined;
      for (const [id, { reject }] of calls) {
        calls.delete(id);
        reject(new Error('the thread of dead letters has ended'));
      }
    });
    thread.postMessage({ type: 'start', settings } satisfies ToThread);
    return thread;
  };

  return {
    /** Rejects with an error of which `isUnavailable` is true while Kafka does not answer. */
    run<Name extends OperationName>(
      name: Name,
      input: Input<Name>,
      { onProgress, signal }: Run = {},
    ): Promise<Result<Name>> {
      const id = ++lastId;
      const { promise, resolve, reject } = Promise.withResolvers<Result<Name>>();
      calls.set(id, { resolve, reject, onProgress });
      worker ??= start();
      worker.postMessage({ type: 'call', id, name, input } satisfies ToThread);
      signal?.addEventListener('abort', () => worker?.postMessage({ type: 'cancel', id } satisfies ToThread));
      return promise;
    },
    close() {
      worker?.terminate();
    },
  };
};

export type LettersThread = ReturnType<typeof createLettersThread>;
