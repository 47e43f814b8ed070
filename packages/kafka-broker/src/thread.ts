/** The broker in a thread of its own, so that its work and its clients' do not wait for each other. */
import type { BrokerOptions } from './broker.ts';
import type { FromBroker, ToBroker } from './thread-messages.ts';
import type { Log } from './topics.ts';

export type BrokerThread = {
  /** host:port, for a client's list of brokers. */
  brokers: string;
  stop(): Promise<void>;
  /** Resolves when the thread has ended: with an error unless `stop` was called. */
  ended: Promise<Error | undefined>;
};

/** Rejects with an error whose message is one line that says what to do. */
export const startBrokerThread = async ({
  log,
  ...options
}: BrokerOptions & { log?: Log }): Promise<BrokerThread> => {
  const worker = new Worker(new URL('./thread-entry.ts', import.meta.url).href);
  const started = Promise.withResolvers<string>();
  const stopped = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<Error | undefined>();
  const post = (message: ToBroker) => worker.postMessage(message);
  const end = (error?: Error) => {
    started.reject(error ?? new Error('The broker was stopped.'));
    stopped.resolve();
    ended.resolve(error);
  };

  worker.onmessage = ({ data }: MessageEvent<FromBroker>) => {
    if (data === 'stopped') return stopped.resolve();
    if ('started' in data) return started.resolve(data.started);
    if ('failed' in data) return started.reject(new Error(data.failed));
    const [level, fields, text] = data.log;
    log?.[level](fields, text);
  };
  worker.onerror = ({ message }) => end(new Error(`The embedded broker failed: ${message}`));
  worker.addEventListener('close', () => end(new Error('The thread of the embedded broker ended.')));

  post({ start: options });
  try {
    const brokers = await started.promise;
    return {
      brokers,
      ended: ended.promise,
      async stop() {
        post('stop');
        await stopped.promise;
        ended.resolve(undefined);
        worker.terminate();
      },
    };
  } catch (error) {
    worker.terminate();
    throw error;
  }
};
