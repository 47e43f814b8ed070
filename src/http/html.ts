import { acceptsGzip } from './asset.ts';
import { securityHeaders } from './security-headers.ts';

/** The headers of every page that may show personal data. */
export const pageHeaders = {
  ...securityHeaders(),
  'content-type': 'text/html; charset=utf-8',
  // An order is personal data; and Back must not show a part as if it were the page.
  'cache-control': 'private, no-store',
  vary: 'accept-encoding, accept-language, cookie, hx-request-type, page-language',
};

/** A page, compressed if the client supports it. */
export const respondHtml = (
  request: Request,
  html: JSX.Element,
  status: number,
  headers: Record<string, string>,
): Response => {
  if (!acceptsGzip(request)) return new Response(html as string, { status, headers });
  const gzipped = Bun.gzipSync(html as string);
  return new Response(gzipped, { status, headers: { ...headers, 'content-encoding': 'gzip' } });
};
