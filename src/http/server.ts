import { waitAtMost } from '../async/retry.ts';
import { stopTimeoutsMs } from '../async/stop-timeouts.ts';
import type { AddressOf } from './client.ts';

/**
 * A connection without an answer in progress is closed so long after the last one, in s; Bun closes one that has not sent
 * the whole head of its first request after 10 s. Longer than balancers keep theirs (60 s is usual), as one that sends a
 * request while we close its connection has lost it; and than the live list's heartbeat.
 */
const keptFor = 75;
/** Nothing takes a body. In bytes. */
const maxRequestBodySize = 65_536;

/** `variable`: the setting that names the port. `idleTimeout`: in s. */
type Address = { port: number; host: string; variable?: string; idleTimeout?: number };
type Answer = (request: Request, addressOf: AddressOf) => Response | Promise<Response>;
type Handler = { fetch: Answer };

/** Listens. Throws an Error of one line when it cannot. */
export const listen = (app: Handler, { port, host, variable = 'PORT', idleTimeout = keptFor }: Address) => {
  const answer = inTurns(withHost(app.fetch));
  const server = serve(answer, { port, host, variable, idleTimeout });
  // A browser does not go to 0.0.0.0.
  const name = host === '0.0.0.0' || host === '127.0.0.1' ? 'localhost' : host;
  return {
    url: `http://${name.includes(':') ? `[${name}]` : name}:${server.port}`,
    port: server.port as number,
    /** From now on an answer ends its connection, so that who keeps one comes to another process with the next request. */
    drain() {
      server.reload({
        async fetch(request) {
          const response = await answer(request, () => server.requestIP(request)?.address);
          response.headers.set('connection', 'close');
          return response;
        },
      });
    },
    /** Takes no more requests, and waits for those that are running, up to 3 s. */
    async stop() {
      await waitAtMost(stopTimeoutsMs.requests, server.stop());
      await server.stop(true);
    },
  };
};

/** One turn of the event loop answers requests for so long, in ms, but so many at least; the others have the next one. */
const turnLasts = 5;
const turnAnswers = 10;

/**
 * Answers at once, or in a later turn of the event loop when this one has lasted long enough. Requests that a client sends one
 * behind another without waiting arrive in one turn, thousands of them; Bun ends the connection of a client that has more of
 * them waiting behind one that is not answered yet.
 */
const inTurns = (answer: Answer): Answer => {
  let begun = 0;
  let answered = 0;
  const endTurn = () => {
    answered = 0;
  };
  const inTurn: Answer = (request, addressOf) => {
    if (answered === 0) {
      begun = performance.now();
      setImmediate(endTurn);
    }
    if (answered >= turnAnswers && performance.now() - begun > turnLasts) return later(request, addressOf);
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
 * The URL of a request that names no host, or one that is none, is for Bun its path alone. Apps get it whole, so that a route
 * is known by its path whatever the host.
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
      // Bun's page about an error shows the source.
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
