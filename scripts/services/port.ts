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
 * A free port of 127.0.0.1, stored in `dir` under `name` for later starts. It is below the ephemeral port range, so that no
 * outgoing connection can take it while the service is stopped.
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
