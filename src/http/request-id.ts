const ids = new WeakMap<Request, string>();

/** Nothing that could break a log line or a header. */
const allowed = /^[\w.:/+=@-]+$/;
/** Other programs' ids have up to so many characters. */
const longest = 128;

/** A request's own `X-Request-Id`, or a new one each time. */
export const requestIdFrom = (headers: Headers): string => {
  const given = headers.get('x-request-id');
  return given !== null && given.length <= longest && allowed.test(given) ? given : crypto.randomUUID();
};

/** The id by which a request's answer, problem and log lines are found: the same each time. */
export const requestId = (request: Request): string => {
  const known = ids.get(request);
  if (known !== undefined) return known;
  const id = requestIdFrom(request.headers);
  ids.set(request, id);
  return id;
};
