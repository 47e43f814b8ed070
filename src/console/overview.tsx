import { Html } from '@elysiajs/html';
import { Overview } from '../../views/console/overview.tsx';
import { jsonResponse, schemaOf } from '../http/contract.ts';
import type { Health } from '../http/health.ts';
import { noStoreHeaders } from '../http/security-headers.ts';
import { operation } from './contract.ts';
import { respondPage, viewFor } from './page.ts';
import type { ConsoleRoute } from './route.ts';

type Options = {
  health: () => Promise<Health>;
  /** The name of this process's machine. */
  host: string;
};

/** What happens now, in this process. */
export const createOverview = ({ health, host }: Options): ConsoleRoute[] => [
  {
    method: 'GET',
    path: '/console/',
    async answer({ request, operator, assets }) {
      const view = viewFor(request, operator);
      const html = <Overview view={view} assets={assets} health={await health()} host={host} />;
      return respondPage(request, view, html);
    },
  },
  {
    method: 'GET',
    path: '/console/api/overview',
    async answer() {
      return Response.json({ host, health: await health() }, { headers: noStoreHeaders });
    },
    operation: operation({
      operationId: 'getOverview',
      summary: 'What happens now in this process',
      responses: {
        200: jsonResponse(
          'The name of the process’s machine, and the state of each part',
          {
            type: 'object',
            required: ['host', 'health'],
            properties: { host: { type: 'string' }, health: schemaOf('Health') },
          },
          { host: 'orders-1', health: exampleHealth },
        ),
      },
    }),
  },
];

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
