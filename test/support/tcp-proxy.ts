/** A TCP proxy in front of a service, to do to its connections what networks do. Listens on a free port of 127.0.0.1. */
import type { Socket } from 'bun';

type End = { socket: Socket<Link> | undefined; waiting: Buffer[]; isSilent: boolean };
type Link = { own: End; other: End };

type Address = { hostname: string; port: number };

/** `target` may be asked for each connection. */
export const startProxy = (target: Address | (() => Address)) => {
  const ends = new Set<End>();
  let isFrozen = false;
  let isCut = false;

  const flush = (end: End) => {
    if (isFrozen || end.isSilent) return;
    while (end.socket) {
      const chunk = end.waiting.shift();
      if (!chunk) return;
      const written = end.socket.write(chunk);
      if (written < chunk.length) {
        end.waiting.unshift(chunk.subarray(Math.max(0, written)));
        return;
      }
    }
  };
  const close = ({ own, other }: Link) => {
    for (const end of [own, other]) {
      ends.delete(end);
      end.socket?.terminate();
      end.socket = undefined;
    }
  };
  const handlers = {
    data({ data: { other } }: Socket<Link>, bytes: Buffer) {
      other.waiting.push(Buffer.from(bytes));
      flush(other);
    },
    drain: ({ data }: Socket<Link>) => flush(data.own),
    close: ({ data }: Socket<Link>) => close(data),
    error: ({ data }: Socket<Link>) => close(data),
  };
  const server = Bun.listen<Link>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      ...handlers,
      open(socket) {
        const near: End = { socket, waiting: [], isSilent: false };
        const far: End = { socket: undefined, waiting: [], isSilent: false };
        socket.data = { own: near, other: far };
        if (isCut) return close(socket.data);
        ends.add(near).add(far);
        const open = (connected: Socket<Link>) => {
          if (!ends.has(far)) return connected.terminate();
          far.socket = connected;
          flush(far);
        };
        Bun.connect<Link>({
          ...(typeof target === 'function' ? target() : target),
          data: { own: far, other: near },
          socket: { ...handlers, open },
        }).catch(() => close(socket.data));
      },
    },
  });
  const sockets = () => [...ends].map(({ socket }) => socket).filter((socket) => socket !== undefined);

  return {
    port: server.port,
    connections: () => ends.size / 2,
    /** All connections are reset, and new ones too, until `resume`. */
    cut() {
      isCut = true;
      for (const socket of sockets()) socket.terminate();
    },
    /** Connections stay open, new ones are accepted, and no byte passes, until `resume`. */
    freeze() {
      isFrozen = true;
    },
    /** Connections that are open now are silent for ever; new ones work. */
    strand() {
      for (const end of ends) end.isSilent = true;
    },
    resume() {
      isCut = false;
      isFrozen = false;
      for (const end of ends) flush(end);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets()) socket.terminate();
      server.stop(true);
    },
  };
};
