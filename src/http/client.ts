/** The address that a connection comes from; undefined when there is none. */
export type AddressOf = (request: Request) => string | undefined;

/**
 * Who sent a request, as far as can be told: the address of the connection, or what the outermost of our own
 * `trustedProxies` saw, by `X-Forwarded-For`. What stands further left in that header anybody may have written.
 * Of an IPv6 address the network counts, as one client has all of a /64.
 */
export const createClientOf = (trustedProxies: number) => (request: Request, addressOf: AddressOf) => {
  const forwarded = trustedProxies > 0 ? request.headers.get('x-forwarded-for')?.split(',') : undefined;
  // The connection's last, as to ask for it takes a tenth of a hit's time.
  const address = forwarded?.at(-trustedProxies) ?? forwarded?.[0] ?? addressOf(request) ?? '';
  return networkOf(address.trim());
};

const networkOf = (address: string): string => {
  if (!address.includes(':')) return address;
  const [, bracketed] = /^\[(.*)\](?::\d+)?$/.exec(address) ?? [];
  const [, v4] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/i.exec(bracketed ?? address) ?? [];
  if (v4 !== undefined) return v4;
  const [left = '', right = ''] = (bracketed ?? address).toLowerCase().split('::');
  const groups = left === '' ? [] : left.split(':');
  const tail = right === '' ? [] : right.split(':');
  const zeros = Math.max(0, 8 - groups.length - tail.length);
  return [...groups, ...Array<string>(zeros).fill('0'), ...tail].slice(0, 4).join(':');
};
