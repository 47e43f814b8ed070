import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { keepPort } from './port.ts';
import { runService } from './service.ts';

/** The Debian packages that are missing for Redis. */
export const missing = (): string[] => (Bun.which('redis-server') ? [] : ['redis-server']);

/** Redis on 127.0.0.1 that keeps its data in `dir`, by a log on disk, over restarts. Gives `REDIS_URL`. */
export const startRedis = async ({ dir }: { dir: string }) => {
  const port = keepPort(dir, 'port');
  const url = `redis://127.0.0.1:${port}`;
  mkdirSync(join(dir, 'data'), { recursive: true });
  const settings = { bind: '127.0.0.1', port, dir: join(dir, 'data'), save: '', appendonly: 'yes' };
  const service = await runService({
    name: 'Redis',
    dir,
    cmd: [
      'redis-server',
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    ready: 'Ready to accept connections',
    stopSignal: 'SIGTERM',
    gives: { REDIS_URL: url },
  });
  return Object.assign(service, { url });
};
