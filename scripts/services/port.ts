import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const isFree = (port: number): boolean => {
  try {
    Bun.listen({ hostname: '127.0.0.1', port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
};

/**
 * A free port of 127.0.0.1, remembered in `dir` under `name` so that every later start there has the same. It lies below the
 * range from which the system takes the ports of outgoing connections: one of those could hold it after a stop.
 */
export const keepPort = (dir: string, name: string): number => {
  const file = join(dir, name);
  if (existsSync(file)) return Number(readFileSync(file, 'utf8'));
  const candidates = Array.from({ length: 100 }, () => 10_000 + Math.floor(Math.random() * 22_000));
  const port = candidates.find(isFree);
  if (port === undefined) throw new Error('no free port found between 10000 and 32000');
  mkdirSync(dir, { recursive: true });
  writeFileSync(file, String(port));
  return port;
};
