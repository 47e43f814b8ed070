import { securitySchemes } from '../../src/console/contract.ts';
import { createConsole } from '../../src/console/handler.tsx';
import type { Operator } from '../../src/console/operators.ts';
import { type ConsoleParts, createConsoleRoutes } from '../../src/console/routes.ts';
import { createRing } from '../../src/history/series.ts';
import { createApp } from '../../src/http/app.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { createSwaggerRoute } from '../../src/http/routes/swagger.ts';
import type { Log } from '../../src/observability/log.ts';
import { silent } from './database.ts';
import { ready } from './open-app.ts';

export const anna: Operator = { name: 'anna', token: 'anna-has-this-token' };
export const boris: Operator = { name: 'boris', token: 'boris-has-this-token' };

type Options = Partial<ConsoleParts> & {
  operators?: readonly Operator[];
  publicUrl?: string;
  basePath?: string;
  trustedProxies?: number;
  /** With the OpenAPI document. */
  docs?: boolean;
  /** Of the connections that requests come from. */
  address?: string;
  /** `ALLOWED_HOSTS`. */
  hosts?: readonly string[];
};

/** The console as the program puts it together, on the parts that a test gives. */
export const openConsole = (options: Options = {}) => {
  const {
    operators = [anna, boris],
    publicUrl = null,
    basePath = '',
    trustedProxies = 0,
    docs = false,
    address,
    hosts = null,
    ...parts
  } = options;
  const lines: { level: string; line: Record<string, unknown>; message: string }[] = [];
  const at = (level: string) => (line: Record<string, unknown> | string, message?: string) =>
    lines.push(
      typeof line === 'string' ? { level, line: {}, message: line } : { level, line, message: message ?? '' },
    );
  const log: Log = Object.assign(Object.create(silent), {
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  });
  const routes = createConsoleRoutes({
    health: async () => ready,
    host: 'replica-1',
    history: { series: () => createRing(1).read(), subscribe: () => () => {} },
    closing: new AbortController().signal,
    ...parts,
  } as ConsoleParts);
  const app = createApp({
    routes: [
      createConsole({ operators, routes, publicUrl, basePath, trustedProxies, log }),
      ...(docs ? [createSwaggerRoute({ securitySchemes })] : []),
    ],
    checkHost: createHostCheck({ names: hosts, loopbackOnly: false }),
    trustedProxies,
    log,
  });
  const ask = async (path: string, init: RequestInit = {}) => {
    const request = new Request(`http://localhost${path}`, init);
    if (!request.headers.has('host')) request.headers.set('host', 'localhost');
    return app.fetch(request, () => address);
  };
  /** As `operator`, with the token. */
  const get = (path: string, headers: Record<string, string> = {}, operator = anna) =>
    ask(path, { headers: { authorization: `Bearer ${operator.token}`, ...headers } });
  return { app, lines, ask, get };
};

/** Of a response, without attributes. */
export const cookieOf = (response: Response): string =>
  response.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
