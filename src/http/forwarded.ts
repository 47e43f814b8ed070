/**
 * The entry that the outermost of our own proxies has added to a list header such as `X-Forwarded-For`, to which each of them adds
 * one: the last but `trustedProxies - 1`, or the first if there are fewer. Entries further left may be forged. Undefined without
 * proxies, and without the header.
 */
export const forwarded = (headers: Headers, name: string, trustedProxies: number): string | undefined => {
  const list = trustedProxies > 0 ? headers.get(name) : null;
  if (list === null) return undefined;
  let end = list.length;
  let comma = list.lastIndexOf(',');
  for (let left = trustedProxies - 1; left > 0 && comma !== -1; left--) {
    end = comma;
    // From -1 on, lastIndexOf would find a comma at 0 again.
    comma = end === 0 ? -1 : list.lastIndexOf(',', end - 1);
  }
  return list.slice(comma + 1, end).trim();
};

/** Whether the client came over TLS: to this server, or to the outermost proxy, by `X-Forwarded-Proto`. */
export const isSecure = (request: Request, trustedProxies: number): boolean =>
  request.url.startsWith('https:') ||
  forwarded(request.headers, 'x-forwarded-proto', trustedProxies)?.toLowerCase() === 'https';
