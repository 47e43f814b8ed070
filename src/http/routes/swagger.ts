import { openapi } from '@elysiajs/openapi';
import { type AnyElysia, Elysia } from 'elysia';
import style from 'swagger-ui-dist/swagger-ui.css' with { type: 'text' };
import bundle from 'swagger-ui-dist/swagger-ui-bundle.js' with { type: 'text' };
import packageJson from '../../../package.json' with { type: 'json' };
import { createOrderSchema } from '../../order/order.ts';
import { defaultRules, type OrderRules } from '../../order/rules.ts';
import { createAsset } from '../asset.ts';
import { HealthSchema } from '../health.ts';
import { ProblemSchema } from '../problem.ts';
import { dataHeaders, securityHeaders } from '../security-headers.ts';

// Swagger UI has a dark style for documents of a class, and no script that follows the system.
const start = `const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
follow();
dark.addEventListener('change', follow);
SwaggerUIBundle({ dom_id: '#swagger-ui', url: 'swagger/json', deepLinking: true, tryItOutEnabled: true });`;

/** What Swagger UI's dark style leaves as dark as its background: the headers of an answer. */
const darkHeaders = '\nhtml.dark-mode .swagger-ui table.headers td{color:inherit}\n';

type Options = {
  basePath?: string;
  rules?: OrderRules;
  /** The security schemes of the operations that need one. */
  securitySchemes?: object | undefined;
};

/** Swagger UI at `/swagger`, with its files, and the OpenAPI document at `/swagger/json`. Clients reach both below `basePath`. */
export const createSwaggerRoute = ({
  basePath = '',
  rules = defaultRules,
  securitySchemes,
}: Options = {}) => {
  const order = { ...createOrderSchema(rules), $id: undefined };
  const assets = {
    style: createAsset('swagger-ui.css', 'text/css', `${style}${darkHeaders}`),
    bundle: createAsset('swagger-ui.js', 'text/javascript', bundle as unknown as string),
    start: createAsset('swagger-start.js', 'text/javascript', start),
  };
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
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
  const cacheControl = { 'cache-control': 'no-cache' };
  const pageHeaders = {
    // Swagger UI's icons are data: images in its stylesheet.
    ...securityHeaders({ img: ['data:'] }),
    'content-type': 'text/html; charset=utf-8',
    ...cacheControl,
  };
  return (router: AnyElysia): AnyElysia => {
    const documentation = {
      ...header,
      servers: [{ url: basePath || '/', description: 'This server' }],
      components: {
        schemas: { Order: order, Problem: ProblemSchema, Health: HealthSchema },
        ...(securitySchemes && { securitySchemes }),
      },
      tags: securitySchemes ? [...header.tags, consoleTag] : header.tags,
      /** When the document is asked for, as routes may be added after these. */
      get paths() {
        return collectPaths(router.routes);
      },
    };
    router
      .use(
        new Elysia({ name: 'openapi' })
          .onAfterHandle(({ set }) => {
            Object.assign(set.headers, dataHeaders, cacheControl);
          })
          .use(
            openapi({
              provider: null,
              path: '/swagger',
              specPath: '/swagger/json',
              openapiVersion: '3.1.0',
              // It would derive parameters from schemas that Elysia checks by; these contracts are complete as they are.
              exclude: { paths: [/^/] },
              documentation: documentation as never,
            }),
          ),
      )
      .get('/swagger', () => new Response(page, { headers: pageHeaders }));
    for (const { path, respond } of Object.values(assets))
      router.get(path, ({ request }) => respond(request));
    return router;
  };
};

type Routes = AnyElysia['routes'];

/** The contracts of the routes that state one. The page, its live list and the metrics are no contract with other programs. */
const collectPaths = (routes: Routes) => {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, hooks } of routes) {
    if (!hooks.detail || hooks.detail.hide) continue;
    const template = path.replaceAll(/:(\w+)/g, '{$1}');
    paths[template] = { ...paths[template], [method.toLowerCase()]: hooks.detail };
  }
  return paths;
};

const consoleTag = { name: 'console', description: 'For operators with a token' };

const header = {
  info: {
    title: 'Order Lookup',
    version: packageJson.version,
    description: `${packageJson.description}

Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems. \`HEAD\` is answered wherever \`GET\` is; any other
method gets \`405\` with \`Allow\`.`,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  tags: [
    { name: 'orders', description: 'Looking orders up' },
    { name: 'operations', description: 'For operators' },
  ],
  security: [],
};
