import type { MetricObject } from 'prom-client';
import { backoff, waitAtMost } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';
import type { ConsumerSettings, ConsumerState, FromConsumer, ToConsumer } from './thread-protocol.ts';

const stopWithin = 8_000;
const metricsWithin = 1_000;
/** A thread that has run for so long before it ended is started again as if for the first time, in ms. */
const steady = 60_000;

type Options = {
  settings: ConsumerSettings;
  stored: (message: Extract<FromConsumer, { type: 'stored' }>) => void;
  log: Log;
};

/** Runs a consumer in a thread of this process. A thread that ends unasked is started again, with backoff. */
export const startConsumerThread = ({ settings, stored, log }: Options) => {
  const { name } = settings;
  const unknown = {
    name,
    kafka: 'not reached yet',
    postgres: undefined,
    kafkaDegraded: undefined,
    offsets: undefined,
    thread: undefined,
  };
  let state: ConsumerState = unknown;
  let attempt = 0;
  let restarts = 0;
  let requests = 0;
  let stopping = false;
  let again: Timer | undefined;
  const answers = new Map<number, (metrics: MetricObject[]) => void>();
  const stopped = Promise.withResolvers<void>();

  const start = (): Worker => {
    const begun = Date.now();
    const thread = new Worker(new URL('./worker.ts', import.meta.url));
    thread.onmessage = ({ data }: MessageEvent<FromConsumer>) => {
      if (data.type === 'stored') stored(data);
      if (data.type === 'state') state = { ...unknown, ...data.state };
      if (data.type === 'metrics') answers.get(data.request)?.(data.metrics);
      if (data.type === 'stopped') stopped.resolve();
    };
    thread.onerror = (event) => log.error({ thread: name, reason: event.message }, 'error in a consumer');
    thread.addEventListener('close', () => {
      if (stopping) return stopped.resolve();
      if (Date.now() - begun > steady) attempt = 0;
      const wait = backoff(attempt++);
      restarts++;
      state = { ...unknown, thread: 'it has ended and is started again' };
      log.error({ thread: name, againInMs: Math.round(wait) }, 'a consumer has ended; it is started again');
      again = setTimeout(() => {
        worker = start();
      }, wait);
    });
    thread.postMessage({ type: 'start', settings } satisfies ToConsumer);
    return thread;
  };
  let worker = start();

  return {
    state: () => state,
    /** How often the thread has ended unasked. */
    restarts: () => restarts,
    /** Empty if the thread does not answer within a second. */
    async metrics(): Promise<MetricObject[]> {
      const request = ++requests;
      const answer = Promise.withResolvers<MetricObject[]>();
      answers.set(request, answer.resolve);
      worker.postMessage({ type: 'metrics', request } satisfies ToConsumer);
      let metrics: MetricObject[] = [];
      await waitAtMost(
        metricsWithin,
        answer.promise.then((given) => {
          metrics = given;
        }),
      );
      answers.delete(request);
      return metrics;
    },
    /** Lets what is in flight be stored and committed; resolves in 8 s at the latest. */
    async stop() {
      stopping = true;
      clearTimeout(again);
      worker.postMessage({ type: 'stop' } satisfies ToConsumer);
      await waitAtMost(stopWithin, stopped.promise);
      worker.terminate();
    },
  };
};

export type ConsumerThread = ReturnType<typeof startConsumerThread>;
