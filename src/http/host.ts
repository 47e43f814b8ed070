import { isLoopback, parseAddress } from './address.ts';
import { toProblem } from './problem.ts';

/** A name of DNS has at most 253 characters, and a port five. */
const longest = 260;
/**
 * `Host` as RFC 9112, 3.2 has it, but for the comma, which no name has: Bun joins two headers of one name by `, `, and two
 * of this one are not allowed.
 */
const syntax = /^(?:\[[\da-f:.]*\]|(?:[\w.~!$&'()*+;=-]|%[\da-f]{2})*)(?::\d*)?$/i;

type Allowed = {
  /** Beside IP addresses and this machine's own names; null: any. */
  names: readonly string[] | null;
  /** Without names given, this machine's own names and addresses are all that there are. */
  loopbackOnly: boolean;
};

/**
 * Refuses a request whose `Host` is malformed (400), or another server's (421): a page of a host whose name an attacker has
 * pointed here would have our answers as its own (DNS rebinding). An IP address is nobody's to point. A request without a
 * host comes from no browser. Whoever watches over us names the host as they like, and learns nothing but our state.
 */
export const createHostCheck = ({ names, loopbackOnly }: Allowed) => {
  const isAllowed = (name: string) => {
    if (isLoopback(name) || name === '') return true;
    if (names === null) return !loopbackOnly;
    return parseAddress(name) !== undefined || names.some((allowed) => isNamed(name, allowed));
  };
  /** The last that was allowed, which is nearly always the next one too. */
  let known: string | undefined;

  return (request: Request, isProbe: boolean): Response | undefined => {
    const host = request.headers.get('host');
    if (host === null || host === known) return undefined;
    if (host.length > longest || !syntax.test(host)) return toProblem(request, malformed);
    if (isAllowed(nameOf(host))) known = host;
    else if (!isProbe) return toProblem(request, misdirected);
    return undefined;
  };
};

export type HostCheck = ReturnType<typeof createHostCheck>;

/** Without port and the root's dot, in lower case. */
const nameOf = (host: string) => {
  const end = host.lastIndexOf(':');
  const name = end > host.lastIndexOf(']') ? host.slice(0, end) : host;
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
};

const isNamed = (name: string, allowed: string) =>
  allowed.startsWith('*.') ? name.endsWith(allowed.slice(1)) : name === allowed;

const malformed = {
  status: 400,
  title: 'Malformed host',
  detail: 'A request has one Host header, which names a host and perhaps a port.',
};

const misdirected = {
  status: 421,
  title: 'Misdirected request',
  detail: 'This server is not called by the name in Host. To allow that name, add it to ALLOWED_HOSTS.',
};
