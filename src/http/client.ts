import { parseAddress } from './address.ts';
import { forwarded } from './forwarded.ts';

/** The address that a request's connection comes from; undefined when there is none. */
export type AddressOf = (request: Request) => string | undefined;

/**
 * The client that sent a request: the address of the connection, or the address that the outermost of our own
 * `trustedProxies` saw, by `X-Forwarded-For`. Of an IPv6 address the network counts, as one client has all of a /64.
 */
export const createClientOf = (trustedProxies: number) => (request: Request, addressOf: AddressOf) => {
  const seen = forwarded(request.headers, 'x-forwarded-for', trustedProxies);
  return (seen === undefined ? undefined : clientAt(seen)) ?? clientOfConnection(addressOf(request) ?? '');
};

/** Nearly always IPv4, and then in its one spelling. */
const clientOfConnection = (address: string) =>
  address.includes(':') ? (clientAt(address) ?? address) : address;

/** Formatted again: a slice of a header would keep all of it in memory for as long as the client is remembered. */
const clientAt = (text: string): string | undefined => {
  const address = parseAddress(text);
  if (!address) return undefined;
  const { version, parts } = address;
  return version === 4
    ? parts.join('.')
    : parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':');
};

type Client = { client: () => string; address: () => string | undefined };

const clients = new WeakMap<Request, Client>();

/** For the routes that need the client. The functions run when they do: `client` costs a tenth of a cache hit. */
export const setRequestClient = (request: Request, found: Client) => clients.set(request, found);

/** The client of a request that the router handles; the empty text when it is unknown. */
export const requestClient = (request: Request): string => clients.get(request)?.client() ?? '';

/** The address that the connection of a request comes from, whatever its headers say; undefined when it is unknown. */
export const requestAddress = (request: Request): string | undefined => clients.get(request)?.address();
