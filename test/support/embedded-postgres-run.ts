/** Started by `startElsewhere`: runs PostgreSQL in the given directory and stops it on SIGTERM. */
import { startPostgres } from '../../src/embedded/postgres.ts';

const say = (message: object) => console.log(JSON.stringify(message));
const log = {
  debug() {},
  isLevelEnabled: () => false,
  info: (text: string) => say({ log: text }),
  warn: (text: string) => say({ log: text }),
  error: (text: string) => say({ log: text }),
};

try {
  const server = await startPostgres({ dataDir: process.argv[2] ?? '.data', log });
  process.on('SIGTERM', server.stop);
  say({ url: server.url, pid: server.pid });
  await server.ended;
} catch (error) {
  say({ error: (error as Error).message });
}
