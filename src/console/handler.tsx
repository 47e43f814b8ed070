import { Html } from '@elysiajs/html';
import { Elysia } from 'elysia';
import { Login } from '../../views/console/login.tsx';
import { contract } from '../http/contract.ts';
import { isSecure } from '../http/forwarded.ts';
import { isRead } from '../http/method.ts';
import { toProblem } from '../http/problem.ts';
import { pathOf, queryOf } from '../http/request-url.ts';
import type { Log } from '../observability/log.ts';
import { redirectTo, savePreferences } from '../page/preferences.ts';
import {
  type Access,
  createAccess,
  elsewhere,
  noToken,
  type Refusal,
  sessionCookie,
  sessionCookieOf,
  wrongToken,
} from './access.ts';
import { createConsoleAssets } from './assets.ts';
import type { Operator } from './operators.ts';
import { pageAddress, respondPage, urlOf, viewFor } from './page.ts';
import type { ConsoleRoute } from './route.ts';
import { logUse } from './use-log.ts';

type Options = {
  operators: readonly Operator[];
  routes: readonly ConsoleRoute[];
  publicUrl?: string | null;
  /** `BASE_PATH` */
  basePath?: string;
  trustedProxies?: number;
  log: Log;
};

/**
 * The operator's console below `/console`. Every route is behind one check, whatever it is; the login and the logout alone need no
 * session.
 */
export const createConsole = (options: Options) => {
  const { operators, routes, publicUrl = null, basePath = '', trustedProxies = 0, log } = options;
  const access = createAccess({ operators, publicUrl, log });
  const files = createConsoleAssets();
  const assets = {
    style: files.style.link,
    script: files.script.link,
    icon: files.icon.link,
    plots: files.plots.link,
    plotsStyle: files.plotsStyle.link,
  };

  const loginPage = (request: Request, refusal: Refusal | undefined, next: string) => {
    const view = viewFor(request, undefined);
    const status = refusal?.problem.status ?? 200;
    const error = refusal && errorOf(refusal);
    return respondPage(
      request,
      view,
      <Login view={view} assets={assets} error={error} next={next} />,
      status,
      refusal?.headers,
    );
  };

  const refuse = (request: Request, refusal: Refusal) => {
    const isApi = pathOf(request.url).startsWith('/console/api/');
    const next = isRead(request) ? pageAddress(request) : '';
    const response = isApi
      ? toProblem(request, refusal.problem, refusal.headers)
      : loginPage(request, refusal, next);
    // A browser would send a void cookie with each request, and each would count as a wrong token.
    if (refusal === wrongToken && request.headers.get('cookie')?.includes(`${sessionCookie}=`))
      response.headers.append(
        'set-cookie',
        sessionCookieOf('', isSecure(request, trustedProxies), isApi ? `${basePath}/console` : undefined),
      );
    return response;
  };

  const guard =
    ({ answer, method, path }: ConsoleRoute) =>
    ({ request }: { request: Request }): Response | Promise<Response> => {
      const admission = access.admit(request);
      if (!('operator' in admission)) return refuse(request, admission);
      const operator = admission.operator.name;
      // The path's pattern, not the path: a query may be of a person.
      logUse(log, operator, { method, path });
      const url = urlOf(request);
      const redirect = isRead(request) ? savePreferences(url, isSecure(request, trustedProxies)) : undefined;
      return redirect ?? answer({ request, url, operator, assets, log });
    };

  const app = new Elysia({ name: 'console' })
    .get('/console', ({ request }) => redirectTo(`console/${queryOf(request.url)}`))
    .use(createLoginRoutes({ access, loginPage, trustedProxies, log }));
  for (const route of routes) {
    const { method, path, operation } = route;
    app.route(method, path, guard(route), operation ? contract(operation) : { detail: { hide: true } });
  }
  for (const { path, respond } of Object.values(files)) app.get(path, ({ request }) => respond(request));
  return app;
};

const errorOf = (refusal: Refusal) => {
  if (refusal === noToken) return undefined;
  if (refusal === elsewhere) return 'elsewhere';
  return refusal === wrongToken ? 'wrongToken' : 'tooManyTokens';
};

type LoginOptions = {
  access: Access;
  loginPage: (request: Request, refusal: Refusal | undefined, next: string) => Response;
  trustedProxies: number;
  log: Log;
};

/** A page of the console that a login may lead to: nothing that leads elsewhere. */
const isPage = (text: string) => /^[a-z-]{0,40}(?:\?[^#\\\s]{0,2000})?$/.test(text);

const createLoginRoutes = ({ access, loginPage, trustedProxies, log }: LoginOptions) => {
  const logIn = (request: Request, token: string, next: string): Response => {
    const admission = access.logIn(request, token);
    if (!('operator' in admission)) return loginPage(request, admission, next);
    const { operator } = admission;
    logUse(log, operator.name, { action: 'log in' });
    const response = redirectTo(`./${isPage(next) ? next : ''}`);
    const cookie = sessionCookieOf(access.sessions.open(operator), isSecure(request, trustedProxies));
    response.headers.append('set-cookie', cookie);
    return response;
  };
  return new Elysia()
    .get('/console/login', ({ request }) => {
      const url = urlOf(request);
      const redirect = savePreferences(url, isSecure(request, trustedProxies));
      if (redirect) return redirect;
      const token = url.searchParams.get('token');
      return token === null ? loginPage(request, undefined, '') : logIn(request, token, '');
    })
    .post('/console/login', async ({ request }) => {
      const form = new URLSearchParams(await request.text());
      return logIn(request, form.get('token') ?? '', form.get('next') ?? '');
    })
    .post('/console/logout', ({ request }) => {
      const refused = access.refuseElsewhere(request);
      if (refused) return loginPage(request, refused, '');
      const admission = access.admit(request);
      if ('operator' in admission) logUse(log, admission.operator.name, { action: 'log out' });
      const response = redirectTo('./login');
      response.headers.append('set-cookie', sessionCookieOf('', isSecure(request, trustedProxies)));
      return response;
    });
};
