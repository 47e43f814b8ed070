/** The proxy of docker-compose.yml, its image and its configuration, in front of replicas of a test's own. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker, finished, root } from './container-engine.ts';
import { until } from './until.ts';

const configuration = join(root, 'ops/haproxy.cfg');
/** Its image has the options that the configuration uses; the machine's own HAProxy may be older. */
const image = /image: (haproxy:\S+)/.exec(await Bun.file(join(root, 'docker-compose.yml')).text())?.[1] ?? '';

/**
 * Listens on a port of its own. The replicas are on addresses of this machine, all on `port`, and change whenever
 * `addresses` does, as the containers of a service do. `changes` to the configuration are those that save time.
 */
export const startReverseProxy = async (options: {
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
  await Bun.write(join(dir, 'haproxy.cfg'), text);
  // The proxy runs as another user.
  await chmod(dir, 0o755);
  const mount = `${dir}:/usr/local/etc/haproxy:ro`;
  const id = await docker('run', '--detach', '--network', 'host', '--volume', mount, image);
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await docker('rm', '--force', '--volumes', id);
    names.stop();
    await rm(dir, { recursive: true, force: true });
  };
  const answers = async () => {
    if ((await docker('inspect', '--format', '{{ .State.Running }}', id)) !== 'true')
      throw new Error((await finished(['docker', 'logs', id])).errors);
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

/** A DNS server that answers every A query with all of `addresses`, as Docker's does for a service's name. */
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
