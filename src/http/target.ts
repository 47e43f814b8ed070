/** Parts of a request's URL as it was sent, by index: a host may be none that a URL can have. */

/** The path, without the query. Empty for a URL that has none. */
export const pathOf = (url: string): string => {
  const start = url.indexOf('/', 'https://'.length);
  if (start === -1) return '';
  const end = endOfPath(url, start);
  return end === -1 ? url.slice(start) : url.slice(start, end);
};

/** The query with its question mark, or the empty text. */
export const queryOf = (url: string): string => {
  const start = url.indexOf('?');
  return start === -1 ? '' : url.slice(start);
};

const endOfPath = (url: string, start: number) => {
  const query = url.indexOf('?', start);
  const fragment = url.indexOf('#', start);
  return query === -1 || (fragment !== -1 && fragment < query) ? fragment : query;
};
