import { readdir } from 'node:fs/promises';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Readings } from './reading.ts';

/**
 * Metrics of the whole process, all threads together. prom-client's default metrics are not used: many are specific to Node
 * (libuv handles, V8 heap spaces) and 0 on Bun, and its heap size includes memory that JavaScriptCore only reserves.
 */
export const addProcessMetrics = ({ gauge, counter }: Readings) => {
  gauge({
    name: 'order_lookup_build_info',
    help: 'Always 1; the labels are the running version and its Bun',
    labels: ['version', 'bun'],
    read: () => [[{ version: packageJson.version, bun: Bun.version }, 1]],
  });
  gauge({
    name: 'process_start_time_seconds',
    help: 'Unix time at which the process started',
    read: () => performance.timeOrigin / 1000,
  });
  counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, user and system',
    read() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  });
  gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process',
    read: () => process.memoryUsage.rss(),
  });
  gauge({
    name: 'process_open_fds',
    help: 'Open files and sockets; Linux only',
    read: async () => (await readdir('/proc/self/fd').catch(() => undefined))?.length,
  });
  gauge({
    name: 'process_max_fds',
    help: 'Limit of open files and sockets; Linux only',
    async read() {
      const limits = await Bun.file('/proc/self/limits')
        .text()
        .catch(() => '');
      const [, limit] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
      return limit === undefined ? undefined : Number(limit);
    },
  });
};
