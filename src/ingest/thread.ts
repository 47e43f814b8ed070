import type { MetricObject } from 'prom-client';
import { backoff } from '../async/retry.ts';
import { stopTimeoutsMs } from '../async/stop-timeouts.ts';
import { waitAtMost } from '../async/timeouts.ts';
import type { Log } from '../observability/log.ts';
import type { PipelineState } from './pipeline.ts';
import type { ConsumerSettings, FromConsumer, ToConsumer } from './thread-protocol.ts';

const metricsTimeoutMs = 1_000;
const checkIntervalMs = 1_000;
/** A thread that sends nothing for so many checks hangs. Checks, not a time: a process that was stopped for a while is not silent. */
const maxSilentChecks = 30;
/** When a thread that has run for this time ends, the backoff of restarts is reset. */
const steadyMs = 60_000;

/** `thread`: why the consumer's thread does not run; undefined while it does. */
export type ConsumerState = PipelineState & { name: string; thread: string | undefined };

type Options = {
  settings: ConsumerSettings;
  stored: (message: Extract<FromConsumer, { type: 'stored' }>) => void;
  log: Log;
  /** For tests: the program of the thread, and the interval in which it has to send something. */
  script?: URL;
  intervalMs?: number;
};

/** Runs a consumer in a thread of this process. A thread that ends unexpectedly, or hangs, is restarted, with backoff. */
export const startConsumerThread = ({
  settings,
  stored,
  log,
  script = new URL('./worker.ts', import.meta.url),
  intervalMs = checkIntervalMs,
}: Options) => {
  const { name } = settings;
  const initialState: ConsumerState = {
    name,
    kafka: 'not reached yet',
    kafkaDegraded: undefined,
    postgres: undefined,
    isReadOnly: false,
    offsets: undefined,
    thread: undefined,
  };
  let state = initialState;
  let attempt = 0;
  let restarts = 0;
  let requests = 0;
  let isStopping = false;
  let restartTimer: Timer | undefined;
  const requested = new Map<number, (metrics: MetricObject[]) => void>();
  const stopped = Promise.withResolvers<void>();

  const start = (): Worker => {
    const startedAt = performance.now();
    const thread = new Worker(script);
    let silentChecks = 0;
    const checks = setInterval(() => {
      if (++silentChecks !== maxSilentChecks) return;
      log.error({ thread: name }, 'a consumer does not answer; it is ended');
      thread.terminate();
    }, intervalMs);
    thread.onmessage = ({ data }: MessageEvent<FromConsumer>) => {
      silentChecks = 0;
      if (data.type === 'stored') stored(data);
      if (data.type === 'state') state = { ...initialState, ...data.state };
      if (data.type === 'metrics') requested.get(data.request)?.(data.metrics);
      if (data.type === 'stopped') stopped.resolve();
    };
    thread.onerror = (event) => log.error({ thread: name, reason: event.message }, 'error in a consumer');
    thread.addEventListener('close', () => {
      clearInterval(checks);
      if (isStopping) return stopped.resolve();
      if (performance.now() - startedAt > steadyMs) attempt = 0;
      const delayMs = backoff(attempt++);
      restarts++;
      state = { ...initialState, thread: 'it has ended and is started again' };
      log.error(
        { thread: name, retryInMs: Math.round(delayMs) },
        'a consumer has ended; it is started again',
      );
      restartTimer = setTimeout(() => {
        worker = start();
      }, delayMs);
    });
    thread.postMessage({ type: 'start', settings } satisfies ToConsumer);
    return thread;
  };
  let worker = start();

  return {
    state: () => state,
    /** How often the thread has ended unexpectedly. */
    restarts: () => restarts,
    /** Empty if the thread does not answer within a second. */
    async metrics(): Promise<MetricObject[]> {
      const request = ++requests;
      const answer = Promise.withResolvers<MetricObject[]>();
      requested.set(request, answer.resolve);
      worker.postMessage({ type: 'metrics', request } satisfies ToConsumer);
      let metrics: MetricObject[] = [];
      await waitAtMost(
        metricsTimeoutMs,
        answer.promise.then((received) => {
          metrics = received;
        }),
      );
      requested.delete(request);
      return metrics;
    },
    /** Lets what is in flight be stored and committed; resolves within 8 s. */
    async stop() {
      isStopping = true;
      clearTimeout(restartTimer);
      worker.postMessage({ type: 'stop' } satisfies ToConsumer);
      await waitAtMost(stopTimeoutsMs.consumerThread, stopped.promise);
      worker.terminate();
    },
  };
};

export type ConsumerThread = ReturnType<typeof startConsumerThread>;
