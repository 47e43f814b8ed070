import { Elysia } from 'elysia';
import { contract, jsonResponse, schemaOf } from '../contract.ts';
import { internalServerErrorResponse } from '../failure.ts';
import type { Health } from '../health.ts';
import { malformedHostResponse } from '../host.ts';
import { noStoreHeaders } from '../security-headers.ts';

const works = { state: 'works' } as const;
const degraded: Health = {
  status: 'degraded',
  parts: {
    postgres: works,
    redis: { state: 'away', reason: 'connection refused (ECONNREFUSED)' },
    kafka: works,
    consumers: works,
    offsets: works,
    cache: works,
  },
};
const unready: Health = {
  status: 'unready',
  parts: {
    postgres: { state: 'away', reason: 'no answer within 1000 ms' },
    redis: { state: 'off' },
    kafka: works,
    consumers: { state: 'away', reason: 'consumer-1 waits for PostgreSQL: no answer' },
    offsets: works,
    cache: { state: 'warming' },
  },
};

const getReadiness = {
  operationId: 'getReadiness',
  summary: 'Whether lookups can be answered, and the state of each part',
  tags: ['operations'],
  responses: {
    200: jsonResponse(
      'Ready; `degraded` when a part that lookups do not need is away or degraded, such as Kafka or Redis',
      schemaOf('Health'),
      degraded,
    ),
    400: malformedHostResponse,
    500: internalServerErrorResponse,
    503: jsonResponse(
      '`unready`, as PostgreSQL is away; or `stopping`: ready, but the process ends soon',
      schemaOf('Health'),
      unready,
    ),
  },
};

const isReady = ({ status }: Health) => status === 'ready' || status === 'degraded';

export const createReadyzRoute = (health: () => Promise<Health>) =>
  new Elysia({ name: 'readyz' }).get(
    '/readyz',
    async () => {
      const state = await health();
      return Response.json(state, { status: isReady(state) ? 200 : 503, headers: noStoreHeaders });
    },
    contract(getReadiness),
  );
