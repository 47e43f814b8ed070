import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keepPort } from './port.ts';
import { runService } from './service.ts';

/** The Debian packages that are missing for Redis. */
export const missing = (): string[] => (Bun.which('redis-server') ? [] : ['redis-server']);

type Options = {
  dir: string;
  /** Additions to redis.conf. */
  more?: Record<string, string>;
};

/** Redis on 127.0.0.1 with its data in `dir` (append-only file). Provides `REDIS_URL`. */
export const startRedis = async ({ dir, more }: Options) => {
  const port = keepPort(dir, 'port');
  const url = `redis://127.0.0.1:${port}`;
  mkdirSync(join(dir, 'data'), { recursive: true });
  const settings = { bind: '127.0.0.1', port, dir: join(dir, 'data'), save: '', appendonly: 'yes', ...more };
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
  return Object.assign(service, { url, port });
};

/** The Sentinels' name of the primary. */
export const sentinelName = 'orders';

/** A Sentinel for the primary on this port, with a quorum of two. Provides `REDIS_SENTINEL`. */
export const startSentinel = async ({ dir, primary }: { dir: string; primary: number }) => {
  const port = keepPort(dir, 'port');
  const file = join(dir, 'sentinel.conf');
  // The Sentinel rewrites this file.
  if (!existsSync(file)) {
    const lines = [
      'bind 127.0.0.1',
      `port ${port}`,
      `dir ${dir}`,
      `sentinel monitor ${sentinelName} 127.0.0.1 ${primary} 2`,
      `sentinel down-after-milliseconds ${sentinelName} 1000`,
      `sentinel failover-timeout ${sentinelName} 10000`,
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
  }
  const service = await runService({
    name: 'Sentinel',
    dir,
    cmd: ['redis-server', file, '--sentinel'],
    ready: '+monitor master',
    stopSignal: 'SIGTERM',
    gives: { REDIS_SENTINEL: `127.0.0.1:${port}` },
  });
  return Object.assign(service, { port });
};
