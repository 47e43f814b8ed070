import { parseRedisUrl } from './redis-url.ts';

const timeoutMs = 300;

/**
 * The error that a Redis sends before any command, such as in protected mode, when it refuses the connection; undefined if it sends
 * none within `timeoutMs`. A client that has begun to write loses that error, so this one only reads.
 */
export const readRefusal = async (url: string): Promise<Error | undefined> => {
  const address = parseRedisUrl(url);
  const [node] = address?.nodes ?? [];
  if (!address || !node || address.isCluster || address.sentinel || address.tls) return undefined;
  const received = Promise.withResolvers<string>();
  const end = () => received.resolve('');
  const timer = setTimeout(end, timeoutMs);
  try {
    const socket = await Bun.connect({
      hostname: node.host,
      port: node.port,
      socket: { data: (_, bytes) => received.resolve(bytes.toString()), end, close: end, error: end },
    });
    const [line = ''] = (await received.promise).split('\r\n');
    socket.terminate();
    return line.startsWith('-') ? Object.assign(new Error(line.slice(1)), { name: 'ReplyError' }) : undefined;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
};
