import { isRead } from '../http/method.ts';

/**
 * Whether a browser sent the request from a page of another origin, by `Sec-Fetch-Site`, which every browser sends over TLS and to
 * this machine, or else by `Origin`. To follow a link to a page is allowed, unless `mayFollowLink` is false; a session's cookie does not
 * come with it. `publicOrigin`: the console's own, where a proxy changes the `Host`.
 */
export const isFromElsewhere = (
  request: Request,
  publicOrigin: string | undefined,
  mayFollowLink = isRead(request),
): boolean => {
  const { headers } = request;
  const site = headers.get('sec-fetch-site');
  if (site !== null) {
    if (site === 'same-origin' || site === 'none') return false;
    return !(mayFollowLink && headers.get('sec-fetch-mode') === 'navigate');
  }
  const origin = headers.get('origin');
  if (origin === null || origin === publicOrigin) return false;
  return URL.parse(origin)?.host !== headers.get('host');
};

/** Whether a browser says where the request comes from. */
export const hasOrigin = ({ headers }: Request): boolean =>
  headers.has('sec-fetch-site') || headers.has('origin');
