import { within } from '../retry.ts';
import type { AddressOf } from './client.ts';

/** Requests that are running when the server stops have so long to end, in ms. */
const graceAtStop = 3_000;
/** Longer than the live list's heartbeat, in s. */
const idleTimeout = 30;

/** `variable`: the setting that names the port. */
type Address = { port: number; host: string; variable?: string };
type Handler = { fetch: (request: Request, addressOf: AddressOf) => Response | Promise<Response> };

/** Listens. Throws an Error of one line when it cannot. */
export const listen = (app: Handler, { port, host, variable = 'PORT' }: Address) => {
  const server = serve(app, { port, host, variable });
  // A browser does not go to 0.0.0.0.
  const name = host === '0.0.0.0' || host === '127.0.0.1' ? 'localhost' : host;
  return {
    url: `http://${name.includes(':') ? `[${name}]` : name}:${server.port}`,
    port: server.port as number,
    /** Takes no more requests, and waits for those that are running, up to 3 s. */
    async stop() {
      await within(graceAtStop, server.stop());
      await server.stop(true);
    },
  };
};

const serve = (app: Handler, { port, host, variable }: Address) => {
  const addressOf: AddressOf = (request) => server.requestIP(request)?.address;
  let server: Bun.Server<undefined>;
  try {
    server = Bun.serve({
      port,
      hostname: host,
      reusePort: false,
      idleTimeout,
      maxRequestBodySize: 65_536,
      fetch: (request) => app.fetch(request, addressOf),
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
