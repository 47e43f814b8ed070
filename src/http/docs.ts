import { openapi } from '@elysiajs/openapi';
import { Elysia } from 'elysia';
import style from 'swagger-ui-dist/swagger-ui.css' with { type: 'text' };
import bundle from 'swagger-ui-dist/swagger-ui-bundle.js' with { type: 'text' };
import { createAsset } from './asset.ts';
import { document } from './openapi.ts';
import { dataHeaders, securityHeaders } from './security-headers.ts';

const start = `SwaggerUIBundle({ dom_id: '#swagger-ui', url: 'swagger/json', deepLinking: true, tryItOutEnabled: true });`;

/** Swagger UI at `/swagger`, all its files from here, and the OpenAPI document at `/swagger/json`. Clients reach both below `basePath`. */
export const createDocs = ({ basePath = '' } = {}) => {
  const assets = {
    style: createAsset('swagger-ui.css', 'text/css', style as unknown as string),
    bundle: createAsset('swagger-ui.js', 'text/javascript', bundle as unknown as string),
    start: createAsset('swagger-start.js', 'text/javascript', start),
  };
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Order Lookup: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${assets.style.link}">
</head>
<body>
<div id="swagger-ui"></div>
<script src="${assets.bundle.link}"></script>
<script src="${assets.start.link}"></script>
</body>
</html>`;
  const headers = {
    // Swagger UI's own icons are data: images in its stylesheet.
    ...securityHeaders({ img: ['data:'] }),
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
  };
  const app = new Elysia({ name: 'docs' })
    .onAfterHandle(({ set }) => {
      Object.assign(set.headers, dataHeaders, { 'cache-control': 'no-cache' });
    })
    .use(
      openapi({
        provider: null,
        path: '/swagger',
        specPath: '/swagger/json',
        // What it reads off the routes has no parameters, as these routes check nothing by Elysia: the document is ours.
        exclude: { paths: [/^/] },
        documentation: {
          ...document,
          servers: [{ url: basePath || '/', description: 'This server' }],
        } as never,
      }),
    )
    .get('/swagger', () => new Response(page, { headers }));
  for (const { path, respond } of Object.values(assets)) app.get(path, ({ request }) => respond(request));
  return app;
};
