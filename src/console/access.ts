import { isLoopback } from '../http/address.ts';
import { bearerOf, createTokenCheck, tooManyWrongTokens, wrongTokensPerMinute } from '../http/bearer.ts';
import { requestAddress, requestClient } from '../http/client.ts';
import { hostNameOf } from '../http/host.ts';
import { isRead } from '../http/method.ts';
import type { Problem } from '../http/problem.ts';
import { createRateLimit, type RateLimit } from '../http/rate-limit.ts';
import type { Log } from '../observability/log.ts';
import type { Operator } from './operators.ts';
import { hasOrigin, isFromElsewhere } from './origin.ts';
import { createSessions, sessionSeconds } from './session.ts';

export const sessionCookie = 'console';

export type Refusal = { problem: Problem; headers: Record<string, string> };
type Admission = { operator: Operator } | Refusal;

type Options = {
  operators: readonly Operator[];
  /** The address of the page, where a proxy changes the `Host`. */
  publicUrl: string | null;
  log: Log;
};

/** Decides who may use the console: by a bearer token, by the cookie of a session, or by the token of a login. */
export const createAccess = ({ operators, publicUrl, log }: Options) => {
  const tokens = operators.map((operator) => ({ operator, isToken: createTokenCheck(operator.token) }));
  const sessions = createSessions(operators);
  const tokenLimit = createRateLimit(wrongTokensPerMinute);
  // Of its own: wrong tokens end nobody's session, and a void session keeps nobody from a login. Without a limit, a guessed token
  // could be tried as the cookie that it would sign.
  const cookieLimit = createRateLimit(wrongTokensPerMinute);
  const publicOrigin = URL.parse(publicUrl ?? '')?.origin;

  /** All tokens are compared, so that the time does not tell whose was given. */
  const findByToken = (given: string) =>
    tokens.filter(({ isToken }) => isToken(given)).map(({ operator }) => operator)[0];

  /** A secret that a client presents. What is wrong counts, and after too many nothing is compared for a while. */
  const check = (request: Request, limit: RateLimit, find: () => Operator | undefined): Admission => {
    const client = requestClient(request);
    const waitMs = limit.wait(client);
    if (waitMs > 0) return tooManyWrongTokens(waitMs);
    const operator = find();
    if (operator && !(operator.isLocal && !isLocal(request))) return { operator };
    limit.consume(client);
    log.warn('a wrong token was sent to the console');
    return wrongToken;
  };

  const refuseElsewhere = (request: Request, mayFollowLink?: boolean): Refusal | undefined =>
    isFromElsewhere(request, publicOrigin, mayFollowLink) ? elsewhere : undefined;

  return {
    sessions,
    /** Admits a request for anything but a login. */
    admit(request: Request): Admission {
      const refused = refuseElsewhere(request);
      if (refused) return refused;
      const bearer = bearerOf(request);
      if (bearer !== undefined) return check(request, tokenLimit, () => findByToken(bearer));
      const cookie = new Bun.CookieMap(request.headers.get('cookie') ?? '').get(sessionCookie);
      if (!cookie) return noToken;
      if (!isRead(request) && !hasOrigin(request)) return elsewhere;
      const read = sessions.read(cookie);
      if (read === 'expired') return noToken;
      return check(request, cookieLimit, () => (read === 'invalid' ? undefined : read));
    },
    /**
     * Admits a login, by the token that was typed or is in the link of the banner. A link on a page of another origin is refused before
     * its token is looked at: it could use up the attempts of a visitor, or log them in as someone else.
     */
    logIn(request: Request, token: string): Admission {
      return refuseElsewhere(request, false) ?? check(request, tokenLimit, () => findByToken(token.trim()));
    },
    /** Refuses a form of another origin, for which no token is needed. */
    refuseElsewhere,
  };
};

export type Access = ReturnType<typeof createAccess>;

/** What proxies add. One that adds none of these cannot be noticed. */
const proxyHeaders = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const;

/** Whether a request comes from this machine and is addressed to it, without a proxy in between. */
const isLocal = (request: Request): boolean => {
  const { headers } = request;
  return (
    !proxyHeaders.some((name) => headers.has(name)) &&
    isLoopback(requestAddress(request) ?? '') &&
    isLoopback(hostNameOf(headers.get('host') ?? ''))
  );
};

const challenge = { 'www-authenticate': 'Bearer realm="console"' };

export const noToken: Refusal = {
  problem: {
    status: 401,
    title: 'Unauthorized',
    detail: 'The console needs the token of an operator (CONSOLE_TOKENS).',
  },
  headers: challenge,
};

export const wrongToken: Refusal = {
  problem: { status: 401, title: 'Wrong token', detail: 'No operator has this token (CONSOLE_TOKENS).' },
  headers: challenge,
};

export const elsewhere: Refusal = {
  problem: {
    status: 403,
    title: 'Another origin',
    detail: 'The console answers no requests that come from a page of another origin.',
  },
  headers: {},
};

/**
 * `Set-Cookie` of a session; without a value it ends. Without `Path`, a cookie is for the path of the console, wherever a proxy has put
 * it, but only in the answer of a page.
 */
export const sessionCookieOf = (value: string, isSecure: boolean, path?: string): string =>
  `${sessionCookie}=${value}; Max-Age=${value === '' ? 0 : sessionSeconds}; ${path ? `Path=${path}; ` : ''}HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
