/** A TCP connection to an HTTP server, on which the test writes the bytes itself. */
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
    /** What was received, one character for each byte. */
    text: () => all().toString('latin1'),
    length: () => all().length,
    /** Discards what was received so far. */
    forget() {
      parts = [];
    },
    /** Resolves when either side has closed the connection. */
    closed: closed.promise,
    isClosed: () => isClosed,
    pause() {
      socket.pause();
    },
    resume() {
      socket.resume();
    },
    /** Closes the sending side. */
    end: () => void socket.end(),
    /** Aborts the connection. */
    terminate: () => socket.terminate(),
  };
};

export type Connection = Awaited<ReturnType<typeof connect>>;
