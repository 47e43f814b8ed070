/** Whether the client's cached copy, by `If-None-Match`, is the representation with this strong entity tag. */
export const isNotModified = (headers: Headers, etag: string): boolean => {
  const match = headers.get('if-none-match');
  return match !== null && includesTag(match, etag);
};

/** The comparison is weak (RFC 9110, 13.1.2), so a proxy's `W/` makes no difference. By index: a header may list thousands of tags. */
const includesTag = (header: string, etag: string) => {
  if (header === etag || header.trim() === '*') return true;
  for (let at = header.indexOf(etag); at !== -1; at = header.indexOf(etag, at + 1)) {
    const start = header.startsWith('W/', at - 2) ? at - 2 : at;
    if (isSeparator(header[start - 1]) && isSeparator(header[at + etag.length])) return true;
  }
  return false;
};

/** Around a tag of a list, or at the header's ends. */
const isSeparator = (character: string | undefined) =>
  character === undefined || character === ',' || character === ' ' || character === '\t';
