/** The proxy of docker-compose.yml, with its own configuration, in front of replicas on this machine. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.ts';

export const hasProxy = Bun.which('haproxy') !== null;

const configuration = join(import.meta.dir, '../../ops/haproxy.cfg');

/**
 * Listens on a port of its own. The replicas are on addresses of this machine, all on `port`, and change whenever
 * `addresses` does, as the containers of a service do. `changes` to the configuration are those that save time.
 */
export const startProxy = async (options: {
  port: number;
  addresses: string[];
  changes?: Record<string, string>;
}) => {
  const names = await startNameServer(options.addresses);
  const port = freePort();
  const changes = {
    'bind :8081': `bind 127.0.0.1:${port}`,
    '127.0.0.11:53': `127.0.0.1:${names.port}`,
    'app:8081': `app:${options.port}`,
    ...options.changes,
  };
  let text = await Bun.file(configuration).text();
  for (const [from, to] of Object.entries(changes)) {
    if (!text.includes(from)) throw new Error(`${configuration} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  const dir = await mkdtemp(join(tmpdir(), 'haproxy-'));
  const file = join(dir, 'haproxy.cfg');
  await Bun.write(file, text);
  const child = Bun.spawn(['haproxy', '-db', '-f', file], { stdout: 'ignore', stderr: 'pipe' });
  const errors = new Response(child.stderr).text();
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill('SIGKILL');
    await child.exited;
    names.stop();
    await rm(dir, { recursive: true, force: true });
  };
  const answers = async () => {
    if (child.exitCode !== null) throw new Error(await errors);
    return (await fetch(`${url}/healthz`).catch(() => undefined))?.ok;
  };
  try {
    await until(answers);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, [Symbol.asyncDispose]: stop };
};

export const freePort = () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

const headerSize = 12;
const typeA = 1;

/** Answers every question for an IPv4 address with all of `addresses`, as Docker's does for a service's name. */
const startNameServer = async (addresses: string[]) => {
  const socket = await Bun.udpSocket({
    hostname: '127.0.0.1',
    port: 0,
    socket: { data: (socket, query, port, host) => void socket.send(answer(query), port, host) },
  });
  const answer = (query: Buffer) => {
    const endOfName = query.indexOf(0, headerSize) + 1;
    const records = query.readUInt16BE(endOfName) === typeA ? addresses.map(record) : [];
    const head = Buffer.from(query.subarray(0, endOfName + 4));
    head.writeUInt16BE(0x8180, 2); // an answer, without error
    head.writeUInt16BE(records.length, 6);
    head.writeUInt32BE(0, 8);
    return Buffer.concat([head, ...records]);
  };
  /** The name is the question's, the class IN, it is valid for no time, and has 4 bytes. */
  const record = (address: string) =>
    Buffer.from([0xc0, headerSize, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]);
  return { port: socket.port, stop: () => socket.close() };
};
