/** Redis servers of a test's own, with nothing on disk, to be frozen, killed and put to shame. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';

/** Another program that takes the same settings, such as valkey-server, may stand in for it. */
const program = process.env.REDIS_SERVER ?? 'redis-server';
export const hasRedisServer = Bun.which(program) !== null;
if (!hasRedisServer) console.warn(`No ${program}: the tests that need one of their own are left out.`);

/** Where no test of a file is chosen, its afterAll is not run: then the server must end by itself. */
const withUs = Bun.which('setpriv') ? ['setpriv', '--pdeathsig', 'KILL'] : [];

const freePort = () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

/** `settings` are those of redis.conf. A cluster's server needs a second port, 10,000 above. */
export const startRedisServer = async (settings: Record<string, string> = {}) => {
  const dir = await mkdtemp(join(tmpdir(), 'redis-'));
  const all = { bind: '127.0.0.1', dir, save: '', appendonly: 'no', ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  let port = 0;

  const launch = async () => {
    const child = Bun.spawn([...withUs, program, '--port', String(port), ...args], {
      stdout: 'pipe',
      stderr: 'ignore',
    });
    let output = '';
    const decoder = new TextDecoder();
    for await (const part of child.stdout as unknown as AsyncIterable<Uint8Array>) {
      output += decoder.decode(part, { stream: true });
      if (output.includes('Ready to accept connections')) return child;
    }
    await child.exited;
    return undefined;
  };
  let child: Awaited<ReturnType<typeof launch>>;
  // Somebody else may take a port between its choice and its use.
  for (let attempt = 0; !child; attempt++) {
    if (attempt === 10) throw new Error('redis-server does not start');
    do port = freePort();
    while (settings['cluster-enabled'] && port > 55_000);
    child = await launch();
  }
  const admin = new Redis(port, '127.0.0.1', {
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
    ...(settings.requirepass && { password: settings.requirepass }),
  });
  admin.on('error', () => {});

  const kill = async () => {
    child?.kill('SIGKILL');
    await child?.exited;
  };
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    /** A client that waits for as long as it takes. */
    admin,
    kill,
    /** Again, on the same port, empty. */
    async start() {
      child = await launch();
      if (!child) throw new Error('redis-server does not start again');
    },
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      admin.disconnect();
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
};
