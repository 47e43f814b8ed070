import { parseRedisUrl } from './redis-url.ts';

const answerWithin = 300;

/**
 * What a Redis replies before it is asked anything, as an error; undefined if it says nothing within 0.3 s. In protected mode it
 * says why it closes the connection, and a client that has begun to write loses that.
 */
export const refusalOf = async (url: string): Promise<Error | undefined> => {
  const address = parseRedisUrl(url);
  const [node] = address?.nodes ?? [];
  if (!address || !node || address.isCluster || address.sentinel || address.tls) return undefined;
  const said = Promise.withResolvers<string>();
  const timer = setTimeout(() => said.resolve(''), answerWithin);
  const end = () => said.resolve('');
  try {
    const socket = await Bun.connect({
      hostname: node.host,
      port: node.port,
      socket: { data: (_, bytes) => said.resolve(bytes.toString()), end, close: end, error: end },
    });
    const [line = ''] = (await said.promise).split('\r\n');
    socket.terminate();
    return line.startsWith('-') ? Object.assign(new Error(line.slice(1)), { name: 'ReplyError' }) : undefined;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
};
