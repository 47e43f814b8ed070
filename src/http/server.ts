import { stopTimeoutsMs } from '../async/stop-timeouts.ts';
import { waitAtMost } from '../async/timeouts.ts';
import type { AddressOf } from './client.ts';

/**
 * An idle connection is closed after this; Bun closes one that has not sent the whole head of its first request after 10 s. Longer than
 * balancers keep idle connections (60 s is usual), as a request that is sent while the connection is being closed is lost; and
 * longer than the heartbeat of the live list.
 */
const idleTimeoutSeconds = 75;
/** In bytes. No route reads a body. */
const maxRequestBodySize = 65_536;

/** `variable`: the setting of the port. `idleTimeout`: in seconds. */
type Address = { port: number; host: string; variable?: string; idleTimeout?: number };
type Answer = (request: Request, addressOf: AddressOf) => Response | Promise<Response>;
type Handler = { fetch: Answer };

/** Listens. Throws an Error of one line when the port is taken. */
export const listen = (
  app: Handler,
  { port, host, variable = 'PORT', idleTimeout = idleTimeoutSeconds }: Address,
) => {
  const answer = inTurns(withHost(app.fetch));
  const server = serve(answer, { port, host, variable, idleTimeout });
  // Browsers do not open 0.0.0.0.
  const name = host === '0.0.0.0' || host === '127.0.0.1' ? 'localhost' : host;
  return {
    url: `http://${name.includes(':') ? `[${name}]` : name}:${server.port}`,
    port: server.port as number,
    /** From now on each response closes its connection, so that clients connect to another process. */
    drain() {
      server.reload({
        async fetch(request) {
          const response = await answer(request, () => server.requestIP(request)?.address);
          response.headers.set('connection', 'close');
          return response;
        },
      });
    },
    /** Accepts no more requests, and waits for those in flight, up to `stopTimeoutsMs.requests`. */
    async stop() {
      await waitAtMost(stopTimeoutsMs.requests, server.stop());
      await server.stop(true);
    },
  };
};

/** One turn of the event loop answers at least this many requests, and after this time no more. */
const minTurnAnswers = 10;
const maxTurnMs = 5;

/**
 * Answers at once, or in a later turn of the event loop when this one has lasted long enough. Pipelined requests arrive thousands in one
 * turn, and would block everything else. Bun closes a connection on which more of them queue behind an unanswered one.
 */
const inTurns = (answer: Answer): Answer => {
  let startedAt = 0;
  let answered = 0;
  const endTurn = () => {
    answered = 0;
  };
  const inTurn: Answer = (request, addressOf) => {
    if (answered === 0) {
      startedAt = performance.now();
      setImmediate(endTurn);
    }
    if (answered >= minTurnAnswers && performance.now() - startedAt > maxTurnMs)
      return later(request, addressOf);
    answered++;
    return answer(request, addressOf);
  };
  const later = async (request: Request, addressOf: AddressOf) => {
    await new Promise(setImmediate);
    return inTurn(request, addressOf);
  };
  return inTurn;
};

/**
 * Bun's URL of a request without a valid host is the path alone. Apps get a whole URL, so that the route is that of the path, whatever
 * the host.
 */
const withHost =
  (answer: Answer): Answer =>
  (request, addressOf) =>
    request.url.startsWith('/')
      ? answer(new Request(`http://localhost${request.url}`, request), () => addressOf(request))
      : answer(request, addressOf);

const serve = (answer: Answer, { port, host, variable, idleTimeout }: Required<Address>) => {
  const addressOf: AddressOf = (request) => server.requestIP(request)?.address;
  let server: Bun.Server<undefined>;
  try {
    server = Bun.serve({
      port,
      hostname: host,
      reusePort: false,
      idleTimeout,
      maxRequestBodySize,
      // Bun's error page shows source code.
      development: false,
      fetch: (request) => answer(request, addressOf),
    });
    return server;
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EADDRINUSE') throw error;
    throw new Error(
      `Port ${port} on ${host} is taken. Stop what listens there, or set ${variable} to another one.`,
      {
        cause: error,
      },
    );
  }
};
