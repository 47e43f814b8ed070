/**
 * The broker's TCP port. Each connection's requests are handled one after another and answered in their order, as Kafka
 * does; a client that violates the protocol loses only its own connection.
 */
import type { Socket } from 'bun';
import type { Log } from './topics.ts';

/** `localHost` is the address at which it reached the broker. */
export type Client = { host: string; localHost: string; signal: AbortSignal };
/**
 * Returns the answer with its length in front, 'none' if the protocol has none, 'close' to close the connection. Throws on a
 * malformed request.
 */
export type Handle = (request: Buffer, client: Client) => Promise<Buffer | 'none' | 'close'>;
type Options = { host: string; port: number; maxRequestBytes: number; handle: Handle; log: Log };

const lengthBytes = 4;
/** Backpressure: a connection is not read while it has this many bytes waiting, or more. */
const maxWaitingBytes = 32 * 1024 * 1024;

/** Cuts a stream of chunks into requests, each without its length in front. Throws on a length that is out of bounds. */
const createFraming = (maxBytes: number) => {
  let chunks: Buffer[] = [];
  let held = 0;
  let wanted = lengthBytes;

  return function* (chunk: Buffer): Generator<Buffer> {
    chunks.push(chunk);
    held += chunk.length;
    if (held < wanted) return;
    let bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, held);
    for (wanted = lengthBytes; bytes.length >= wanted; wanted = lengthBytes) {
      const length = bytes.readInt32BE();
      if (length < 0 || length > maxBytes) throw new Error(`a request of ${length} bytes`);
      wanted += length;
      if (bytes.length < wanted) break;
      yield bytes.subarray(lengthBytes, wanted);
      bytes = bytes.subarray(wanted);
    }
    chunks = [bytes];
    held = bytes.length;
  };
};

const createConnection = (socket: Socket<unknown>, { maxRequestBytes, handle, log }: Options) => {
  const frames = createFraming(maxRequestBytes);
  const gone = new AbortController();
  const client = { host: socket.remoteAddress, localHost: socket.localAddress, signal: gone.signal };
  const requests: Buffer[] = [];
  let waiting = 0;
  let working = false;
  let unsent: Buffer = Buffer.alloc(0);
  let sent = Promise.withResolvers<void>();

  const close = (error?: unknown) => {
    if (error !== undefined) log.warn({ client: client.host, reason: String(error) }, 'closed a connection');
    gone.abort();
    socket.terminate();
  };

  const flush = () => {
    const count = socket.write(unsent);
    unsent = unsent.subarray(Math.max(0, count));
    if (unsent.length === 0) sent.resolve();
  };

  const work = async () => {
    working = true;
    for (let request = requests.shift(); request && !gone.signal.aborted; request = requests.shift()) {
      const answer = await handle(request, client);
      if (gone.signal.aborted) return;
      if (answer === 'close') return close();
      if (answer !== 'none') {
        sent = Promise.withResolvers();
        unsent = answer;
        flush();
        await sent.promise;
      }
      waiting -= request.length;
      if (waiting < maxWaitingBytes) socket.resume();
    }
    working = false;
  };

  return {
    receive(chunk: Buffer) {
      try {
        for (const request of frames(chunk)) {
          requests.push(request);
          waiting += request.length;
        }
      } catch (error) {
        return close(error);
      }
      if (waiting >= maxWaitingBytes) socket.pause();
      if (!working) work().catch(close);
    },
    flush,
    closed() {
      gone.abort();
      sent.resolve();
    },
  };
};

/** Port 0 means any free port. Throws if the port is taken. */
export const listen = (options: Options) => {
  const listener = Bun.listen<ReturnType<typeof createConnection>>({
    hostname: options.host,
    port: options.port,
    socket: {
      binaryType: 'buffer',
      open(socket) {
        socket.setNoDelay(true);
        socket.data = createConnection(socket as Socket<unknown>, options);
      },
      data: (socket, chunk) => socket.data.receive(chunk),
      drain: (socket) => socket.data.flush(),
      close: (socket) => socket.data.closed(),
      error: (socket) => socket.data.closed(),
    },
  });
  return { port: listener.port, close: () => listener.stop(true) };
};
