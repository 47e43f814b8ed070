const ids = new WeakMap<Request, string>();

/** Without anything that could break a log line or a header. */
const allowed = /^[\w.:/+=@-]+$/;
const maxLength = 128;

/** The request's own `X-Request-Id`, or a new id at each call. */
export const requestIdFrom = (headers: Headers): string => {
  const given = headers.get('x-request-id');
  return given !== null && given.length <= maxLength && allowed.test(given) ? given : crypto.randomUUID();
};

/** The id of a request, the same each time: in its response, its problem and its log lines. */
export const requestId = (request: Request): string => {
  const known = ids.get(request);
  if (known !== undefined) return known;
  const id = requestIdFrom(request.headers);
  ids.set(request, id);
  return id;
};
