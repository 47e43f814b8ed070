import type { AddressOf } from './client.ts';

type Handler = { fetch: (request: Request, addressOf?: AddressOf) => Response | Promise<Response> };

/**
 * Puts an app below a path, such as `/lookup`, for a proxy that passes the path on as it came. Only this and the OpenAPI
 * document know the path: what the app answers is relative to it. The root is answered too, for probes, and for a proxy that
 * takes the path off.
 */
export const underBasePath = (basePath: string, app: Handler): Handler => {
  if (basePath === '') return app;
  return {
    fetch(request, addressOf) {
      const { url } = request;
      const start = url.indexOf('/', 'https://'.length);
      const end = start + basePath.length;
      if (start === -1 || !url.startsWith(basePath, start)) return app.fetch(request, addressOf);
      const rest = url.slice(end);
      // Without the slash, what is relative would be outside.
      if (rest === '' || rest.startsWith('?'))
        return new Response(null, { status: 308, headers: { location: `${basePath}/${rest}` } });
      if (!rest.startsWith('/')) return app.fetch(request, addressOf);
      // The header names the host. The server knows the address by the request that it made itself.
      return app.fetch(new Request(`http://localhost${rest}`, request), () => addressOf?.(request));
    },
  };
};
