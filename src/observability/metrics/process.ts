import { readdir } from 'node:fs/promises';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Readings } from './reading.ts';

/**
 * Of the process with all its threads. The library's own set is not used: much of it is Node's (libuv's handles, V8's
 * spaces) and 0 on Bun, and the memory that JavaScriptCore reserves and does not use passes in it for the heap.
 */
export const addProcessMetrics = ({ gauge, counter }: Readings) => {
  gauge({
    name: 'order_lookup_build_info',
    help: 'Always 1: which version runs, and on which Bun',
    labels: ['version', 'bun'],
    read: () => [[{ version: packageJson.version, bun: Bun.version }, 1]],
  });
  gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, in Unix time',
    read: () => performance.timeOrigin / 1000,
  });
  counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of the process, in user and system mode',
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
    help: 'Files and sockets that are open; on Linux only',
    read: async () => (await readdir('/proc/self/fd').catch(() => undefined))?.length,
  });
  gauge({
    name: 'process_max_fds',
    help: 'Files and sockets that may be open; on Linux only',
    async read() {
      const limits = await Bun.file('/proc/self/limits')
        .text()
        .catch(() => '');
      const [, most] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
      return most === undefined ? undefined : Number(most);
    },
  });
};
