const header = 'x-request-id';
const ids = new WeakMap<Request, string>();

/** Nothing that could break a log line or a header; other programs' ids have up to 128 such characters. */
const allowed = /^[\w.:/+=@-]{1,128}$/;

/** The id by which a request's answer, problem and log lines are found: its own `X-Request-Id`, or a new one. */
export const requestId = (request: Request): string => {
  const known = ids.get(request);
  if (known !== undefined) return known;
  const given = request.headers.get(header);
  const id = given !== null && allowed.test(given) ? given : crypto.randomUUID();
  ids.set(request, id);
  return id;
};
