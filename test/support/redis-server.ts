/** Redis servers of a test's own, without persistence, which it may freeze, kill and damage. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';

/** Or a compatible server, such as valkey-server. */
const program = process.env.REDIS_SERVER ?? 'redis-server';
export const hasRedisServer = Bun.which(program) !== null;
if (!hasRedisServer) console.warn(`No ${program}: the tests that need one of their own are skipped.`);

/** When no test of a file is selected, its afterAll does not run: then the server has to end by itself. */
const withParent = Bun.which('setpriv') ? ['setpriv', '--pdeathsig', 'KILL'] : [];

const freePort = () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

/** With room for a second port, 10,000 above. */
const freeRedisPort = (): number => {
  const port = freePort();
  return port > 55_000 ? freeRedisPort() : port;
};

/**
 * `settings`: of redis.conf; with those of TLS it listens on `tlsPort` too. A node of a cluster needs a further port, 10,000 above that on
 * which it speaks with the others.
 */
export const startRedisServer = async (settings: Record<string, string> = {}) => {
  const dir = await mkdtemp(join(tmpdir(), 'redis-'));
  const all = { bind: '127.0.0.1', dir, save: '', appendonly: 'no', ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  const hasTls = 'tls-cert-file' in settings;
  let port = 0;
  let tlsPort = 0;

  const launch = async () => {
    const ports = ['--port', String(port), ...(hasTls ? ['--tls-port', String(tlsPort)] : [])];
    const child = Bun.spawn([...withParent, program, ...ports, ...args], {
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
  // Another process may take a port before the server binds it.
  for (let attempt = 0; !child; attempt++) {
    if (attempt === 10) throw new Error('redis-server does not start');
    port = freeRedisPort();
    tlsPort = freeRedisPort();
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
    /** 0 without TLS. */
    tlsPort: hasTls ? tlsPort : 0,
    url: `redis://127.0.0.1:${port}`,
    /** A client without timeouts. */
    admin,
    kill,
    /** Starts it again on the same port, empty. */
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
