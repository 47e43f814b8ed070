import { Html } from '@elysiajs/html';
import { Overview } from '../../../views/console/overview.tsx';
import { type History, windowNames } from '../../history/history.ts';
import { columns } from '../../history/series.ts';
import { acceptsGzip } from '../../http/asset.ts';
import { jsonResponse, problemResponse, retryHeaders } from '../../http/contract.ts';
import type { Health } from '../../http/health.ts';
import { toProblem } from '../../http/problem.ts';
import { noStoreHeaders } from '../../http/security-headers.ts';
import { operation } from '../contract.ts';
import { respondPage, viewFor } from '../page.ts';
import { badRequest } from '../problems.ts';
import type { ConsoleRoute } from '../route.ts';
import { createOverviewEvents } from './events.ts';

type Options = {
  health: () => Promise<Health>;
  history: Pick<History, 'series' | 'subscribe'>;
  /** Aborted when the process ends: then the streams end. */
  closing: AbortSignal;
  /** The name of this process's machine. */
  host: string;
};

/** The window that is asked for: the shorter one unless another is named; undefined if it is none. */
const windowOf = (url: URL) => windowNames.find((name) => name === (url.searchParams.get('window') ?? '15m'));

/** What happens now and did lately, in this process. */
export const createOverview = ({ health, history, closing, host }: Options): ConsoleRoute[] => {
  const events = createOverviewEvents(history);
  closing.addEventListener('abort', events.close);
  return [
    {
      method: 'GET',
      path: '/console/',
      async answer({ request, url, operator, assets }) {
        const view = viewFor(request, operator);
        const window = windowOf(url) ?? '15m';
        const html = (
          <Overview
            view={view}
            assets={assets}
            health={await health()}
            host={host}
            window={window}
            series={history.series(window)}
          />
        );
        return respondPage(request, view, html);
      },
    },
    {
      method: 'GET',
      path: '/console/api/overview',
      async answer({ request, url }) {
        const window = windowOf(url);
        if (!window) return toProblem(request, badWindow);
        const json = JSON.stringify({ host, health: await health(), window, series: history.series(window) });
        const headers = { ...noStoreHeaders, 'content-type': 'application/json', vary: 'accept-encoding' };
        if (!acceptsGzip(request)) return new Response(json, { headers });
        return new Response(Bun.gzipSync(json), { headers: { ...headers, 'content-encoding': 'gzip' } });
      },
      operation: getOverview,
    },
    {
      method: 'GET',
      path: '/console/api/overview/events',
      answer({ request }) {
        const stream = events.open();
        if (!stream) return toProblem(request, tooMany, { 'retry-after': '30' });
        return new Response(stream, {
          headers: { ...noStoreHeaders, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' },
        });
      },
      operation: watchOverview,
    },
  ];
};

const badWindow = badRequest(`window is not allowed; allowed: ${windowNames.join(', ')}.`);
const tooMany = {
  status: 503,
  title: 'Too many subscribers',
  detail: 'The overview has reached its limit of subscribers.',
};

const works = { state: 'works' } as const;
const exampleHealth: Health = {
  status: 'ready',
  parts: {
    postgres: works,
    redis: works,
    kafka: works,
    consumers: works,
    offsets: works,
    cache: works,
  },
};
const numbers = { type: 'array', items: { type: ['number', 'null'] } };

const getOverview = operation({
  operationId: 'getOverview',
  summary: 'What happens now in this process, and did lately',
  description:
    'Of one process: `host` is the name of its machine. Rates are per second, durations in seconds, `hits` is a share, `memory` in bytes, `time` in ms since 1970; null where there is no value.',
  parameters: [
    {
      name: 'window',
      in: 'query',
      description: 'The last 15 minutes by the second, or 24 hours by the minute',
      schema: { type: 'string', enum: windowNames },
    },
  ],
  responses: {
    200: jsonResponse(
      'The state of each part, and the series',
      {
        type: 'object',
        required: ['host', 'health', 'window', 'series'],
        properties: {
          host: { type: 'string' },
          health: { $ref: '#/components/schemas/Health' },
          window: { type: 'string' },
          series: {
            type: 'object',
            required: ['time', ...columns],
            properties: Object.fromEntries(['time', ...columns].map((name) => [name, numbers])),
          },
        },
      },
      {
        host: 'orders-1',
        health: exampleHealth,
        window: '15m',
        series: {
          time: [1_795_660_800_000],
          ...Object.fromEntries(columns.map((name) => [name, [0]])),
        },
      },
    ),
    400: problemResponse('The window is not allowed', badWindow),
  },
});

const watchOverview = operation({
  operationId: 'watchOverview',
  summary: 'A sample of the series each second, as server-sent events',
  responses: {
    200: {
      description: 'Events whose data is a JSON object: `time`, and a value for each of the series',
      content: {
        'text/event-stream': {
          schema: { type: 'string' },
          example: 'data: {"time":1795660800000,"stored":1}\n\n',
        },
      },
    },
    503: problemResponse('There are too many subscribers', tooMany, retryHeaders),
  },
});
