import { stopTimeoutsMs } from '../async/stop-timeouts.ts';
import { waitAtMost } from '../async/timeouts.ts';
import type { AddressOf } from './client.ts';

/**
 * An idle connection is closed after this; Bun closes one that has not sent the whole head of its first request after 10 s. Longer than
 * balancers keep idle connections (60 s is usual), as a request that is sent while the connection is being closed is lost; and
 * longer than the heartbeat of the live list.
 */
const idleTimeoutSeconds = 75;
/** In bytes. Only the console reads bodies. */
const maxRequestBodySize = 65_536;

/** `variable`, `hostVariable`: the settings of port and host. `idleTimeout`: in seconds. */
type Address = {
  port: number;
  host: string;
  variable?: string;
  hostVariable?: string;
  idleTimeout?: number;
};
type Answer = (request: Request, addressOf: AddressOf) => Response | Promise<Response>;
type Handler = { fetch: Answer };

/** Listens. Throws an Error of one line that names the setting when it cannot, as when the port is taken. */
export const listen = (
  app: Handler,
  { port, host, variable = 'PORT', hostVariable = 'HOST', idleTimeout = idleTimeoutSeconds }: Address,
) => {
  const answer = inTurns(withHost(app.fetch));
  const server = serve(answer, { port, host, variable, hostVariable, idleTimeout });
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

/** Throws as `listen` would, and listens no longer. */
export const checkAddress = (address: Address): Promise<void> =>
  listen({ fetch: () => new Response(null, { status: 503 }) }, address).stop();

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

/** Why a server cannot listen, and which setting to change. */
const explain = (
  error: unknown,
  { port, host, variable, hostVariable }: Omit<Required<Address>, 'idleTimeout'>,
): string => {
  const { code, message } = error as { code?: unknown; message: string };
  // Where the host does not resolve, Bun gives the code of an earlier call.
  const isOfPort = (code === 'EADDRINUSE' || code === 'EACCES') && canListenOn(host);
  if (isOfPort && code === 'EADDRINUSE')
    return `Port ${port} on ${host} is taken. Stop what listens there, or set ${variable} to another one.`;
  if (isOfPort)
    return `${variable} holds "${port}", a port that this user may not listen on (EACCES). Set ${variable} to one from 1024.`;
  const wrong =
    code === 'EADDRNOTAVAIL'
      ? 'an address that this machine does not have'
      : 'neither an address nor a host name of this machine';
  return `${hostVariable} holds ${JSON.stringify(host)}, ${wrong} (${code ?? message}). 127.0.0.1 is this machine alone, 0.0.0.0 all of its addresses.`;
};

/** Whether some port of the host can be listened on. */
const canListenOn = (hostname: string): boolean => {
  try {
    Bun.listen({ hostname, port: 0, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
};

const serve = (answer: Answer, { port, host, variable, hostVariable, idleTimeout }: Required<Address>) => {
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
    throw new Error(explain(error, { port, host, variable, hostVariable }), { cause: error });
  }
};
