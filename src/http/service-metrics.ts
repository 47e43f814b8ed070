import type { ConsumerThread } from '../ingest/thread.ts';
import type { Readings } from '../observability/metrics/reading.ts';
import type { Health } from './health.ts';

type Sources = { health: () => Promise<Health>; consumers: readonly ConsumerThread[] };

/** The state of `/readyz`, so that the two never disagree, and of the consumer threads. */
export const addServiceMetrics = ({ gauge, counter }: Readings, { health, consumers }: Sources) => {
  gauge({
    name: 'orders_ready',
    help: '1 while the process is ready, 0 while /readyz reports unready',
    read: async () => ((await health()).status === 'unready' ? 0 : 1),
  });
  gauge({
    name: 'orders_service_up',
    help: '1 while a service is available, 0 while it is not; absent when this process does not use it',
    labels: ['service'],
    async read() {
      const { postgres, standby = { state: 'off' }, redis, kafka } = (await health()).parts;
      return Object.entries({ postgres, standby, redis, kafka })
        .filter(([, { state }]) => state !== 'off')
        .map(([service, { state }]) => [{ service }, state === 'away' ? 0 : 1]);
    },
  });
  gauge({
    name: 'orders_consumer_up',
    help: '1 while a consumer thread runs, 0 while it waits to be restarted',
    labels: ['thread'],
    read: () =>
      consumers.map((consumer) => {
        const { name, thread } = consumer.state();
        return [{ thread: name }, thread === undefined ? 1 : 0];
      }),
  });
  counter({
    name: 'orders_consumer_restarts_total',
    help: 'How often a consumer thread ended unexpectedly',
    labels: ['thread'],
    read: () => consumers.map((consumer) => [{ thread: consumer.state().name }, consumer.restarts()]),
  });
};
