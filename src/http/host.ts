import { isLoopback, parseAddress } from './address.ts';
import { problemResponse } from './contract.ts';
import { toProblem } from './problem.ts';

/** A DNS name has at most 253 characters, and a port five. */
const maxLength = 260;
/**
 * `Host` by RFC 9112, 3.2, but without the comma, which no name has: Bun joins repeated headers by `, `, and this one may not be
 * repeated.
 */
const syntax = /^(?:\[[\da-f:.]*\]|(?:[\w.~!$&'()*+;=-]|%[\da-f]{2})*)(?::\d*)?$/i;

type Allowed = {
  /** Names that are allowed, beside IP addresses and this machine's own names; null: any. */
  names: readonly string[] | null;
  /** Without `names`, only this machine's own names and addresses are allowed. */
  loopbackOnly: boolean;
};

/**
 * Refuses a request whose `Host` is malformed (400) or not allowed (421). Against DNS rebinding: a page of a host whose name an
 * attacker has pointed at this server could read its answers. An IP address cannot be pointed elsewhere, and a request without a
 * host comes from no browser. Probes may use any name, as they read nothing but the state.
 */
export const createHostCheck = ({ names, loopbackOnly }: Allowed) => {
  const isAllowed = (name: string) => {
    if (isLoopback(name) || name === '') return true;
    if (names === null) return !loopbackOnly;
    return parseAddress(name) !== undefined || names.some((allowed) => isNamed(name, allowed));
  };
  /** The last one allowed, which is nearly always the next one too. */
  let lastAllowed: string | undefined;

  return (request: Request, isProbe: boolean): Response | undefined => {
    const host = request.headers.get('host');
    if (host === null || host === lastAllowed) return undefined;
    if (host.length > maxLength || !syntax.test(host)) return toProblem(request, malformed);
    if (isAllowed(hostNameOf(host))) lastAllowed = host;
    else if (!isProbe) return toProblem(request, misdirected);
    return undefined;
  };
};

export type HostCheck = ReturnType<typeof createHostCheck>;

/** The name in a `Host` header: without the port and a final dot, in lower case. */
export const hostNameOf = (host: string) => {
  const end = host.lastIndexOf(':');
  const name = end > host.lastIndexOf(']') ? host.slice(0, end) : host;
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
};

const isNamed = (name: string, allowed: string) =>
  allowed.startsWith('*.') ? name.endsWith(allowed.slice(1)) : name === allowed;

const malformed = {
  status: 400,
  title: 'Malformed host',
  detail: 'A request has one Host header: a host, and optionally a port.',
};

const misdirected = {
  status: 421,
  title: 'Misdirected request',
  detail: 'This server does not answer for the name in Host. To allow that name, add it to ALLOWED_HOSTS.',
};

export const malformedHostResponse = problemResponse('The `Host` header is malformed', malformed);
export const misdirectedResponse = problemResponse(
  'The name in the `Host` header is not allowed (`ALLOWED_HOSTS`)',
  misdirected,
);
