import type { AddressOf } from './client.ts';
import { pathOf, queryOf } from './request-url.ts';

type Handler = { fetch: (request: Request, addressOf?: AddressOf) => Response | Promise<Response> };

/**
 * Puts an app below a path, such as `/lookup`, for a proxy that passes the path on unchanged. Only this and the OpenAPI document
 * know the path: links in the app's answers are relative. The app is also reachable at the root, for probes, and for a proxy that
 * removes the path.
 */
export const underBasePath = (basePath: string, app: Handler): Handler => {
  if (basePath === '') return app;
  return {
    fetch(request, addressOf) {
      const path = pathOf(request.url);
      const below = path.slice(basePath.length);
      // Without the slash, relative links would lead outside.
      if (path === basePath)
        return new Response(null, {
          status: 308,
          headers: { location: `${basePath}/${queryOf(request.url)}` },
        });
      if (!path.startsWith(basePath) || !below.startsWith('/')) return app.fetch(request, addressOf);
      // The host is in the header. The server knows the address only of the request that it made itself.
      const inner = new Request(`http://localhost${below}${queryOf(request.url)}`, request);
      return app.fetch(inner, () => addressOf?.(request));
    },
  };
};
