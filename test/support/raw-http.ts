/** A connection to an HTTP server without a client in between: the bytes are the test's own. */
export const connect = async (address: { hostname: string; port: number }) => {
  const closed = Promise.withResolvers<void>();
  let parts: Buffer[] = [];
  let waiting = Buffer.alloc(0);
  let isClosed = false;
  const end = () => {
    isClosed = true;
    closed.resolve();
  };
  const socket = await Bun.connect({
    ...address,
    socket: {
      data: (_, bytes) => void parts.push(Buffer.from(bytes)),
      drain: () => flush(),
      close: end,
      end,
      error: end,
    },
  });
  const flush = () => {
    if (isClosed || waiting.length === 0) return;
    const written = socket.write(waiting);
    waiting = written < 0 ? Buffer.alloc(0) : waiting.subarray(written);
  };
  const all = () => {
    parts = [Buffer.concat(parts)];
    return parts[0] as Buffer;
  };
  return {
    port: address.port,
    write(bytes: string | Uint8Array) {
      waiting = Buffer.concat([waiting, typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes]);
      flush();
    },
    /** What has come, one character for each byte. */
    text: () => all().toString('latin1'),
    length: () => all().length,
    /** Of what has come so far nothing is kept. */
    forget() {
      parts = [];
    },
    /** Resolves when either side has ended the connection. */
    closed: closed.promise,
    isClosed: () => isClosed,
    pause() {
      socket.pause();
    },
    resume() {
      socket.resume();
    },
    /** Says that no more is sent, as a client that has all it wants. */
    end: () => void socket.end(),
    /** As a client that is gone. */
    terminate: () => socket.terminate(),
  };
};

export type Connection = Awaited<ReturnType<typeof connect>>;
