import { securityHeaders } from './security-headers.ts';
import { weightedList } from './weighted-list.ts';

/** A static file. Its path changes with its content, so that browsers may cache it for ever. */
export const createAsset = (name: string, type: string, text: string) => {
  const plain = new TextEncoder().encode(text);
  const gzipped = Bun.gzipSync(plain, { level: 9 });
  const hash = new Bun.CryptoHasher('sha256').update(plain).digest('hex').slice(0, 12);
  const link = `assets/${name.replace('.', `-${hash}.`)}`;
  const headers = {
    ...securityHeaders(),
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'public, max-age=31536000, immutable',
    vary: 'accept-encoding',
  };
  return {
    path: `/${link}`,
    /** Relative to a page at the root. */
    link,
    respond: (request: Request) =>
      acceptsGzip(request)
        ? new Response(gzipped, { headers: { ...headers, 'content-encoding': 'gzip' } })
        : new Response(plain, { headers }),
  };
};

export const acceptsGzip = (request: Request) =>
  weightedList(request.headers.get('accept-encoding')).some(
    ({ value, weight }) => (value === 'gzip' || value === 'x-gzip') && weight > 0,
  );
