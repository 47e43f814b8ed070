/**
 * Parts of a request's URL, found by index and as they were sent: `new URL` would throw for some hosts, and resolve `..` in
 * the path.
 */

const pathStart = (url: string) => url.indexOf('/', 'https://'.length);

const pathEnd = (url: string, start: number) => {
  const query = url.indexOf('?', start);
  const fragment = url.indexOf('#', start);
  const end = query === -1 || (fragment !== -1 && fragment < query) ? fragment : query;
  return end === -1 ? url.length : end;
};

/** The path, without the query. Empty for a URL that has none. */
export const pathOf = (url: string): string => {
  const start = pathStart(url);
  return start === -1 ? '' : url.slice(start, pathEnd(url, start));
};

/** The query with its question mark, or the empty text. */
export const queryOf = (url: string): string => {
  const start = url.indexOf('?');
  return start === -1 ? '' : url.slice(start);
};

const orderPrefix = '/order/';
export const orderPath = `${orderPrefix}:uid`;

/** The uid of `/order/:uid`, still percent-encoded; undefined for another path. The path may end with a slash. */
export const orderUidOf = (url: string): string | undefined => {
  const start = pathStart(url);
  if (!url.startsWith(orderPrefix, start)) return undefined;
  const from = start + orderPrefix.length;
  const whole = pathEnd(url, from);
  const end = url[whole - 1] === '/' ? whole - 1 : whole;
  if (end <= from) return undefined;
  const slash = url.indexOf('/', from);
  return slash === -1 || slash >= end ? url.slice(from, end) : undefined;
};

/** The route of a URL that is none of ours. */
export const noRoute = 'other';

export type RouteOf = (url: string) => string;

/**
 * Names the route of a URL, in metrics, traces and answers: one of the router's `paths`, or `noRoute`. No name contains the
 * number of an order, and all files have one name, as theirs change with their content.
 */
export const createRouteOf = (paths: ReadonlySet<string>): RouteOf => {
  const hasOrders = paths.has(orderPath);
  return (url) => {
    if (hasOrders && orderUidOf(url) !== undefined) return orderPath;
    const path = pathOf(url);
    return paths.has(path) ? routeNameOf(path) : noRoute;
  };
};

export const routeNameOf = (path: string) => (path.startsWith('/assets/') ? '/assets/*' : path);
