import { Elysia } from 'elysia';
import { contract, jsonResponse } from '../contract.ts';
import { malformedHostResponse } from '../host.ts';
import { noStoreHeaders } from '../security-headers.ts';

const alive = { status: 'alive' };

const getLiveness = {
  operationId: 'getLiveness',
  summary: 'Whether the process is alive',
  tags: ['operations'],
  responses: {
    200: jsonResponse(
      'It is alive',
      {
        type: 'object',
        required: ['status'],
        properties: { status: { type: 'string', enum: [alive.status] } },
      },
      alive,
    ),
    400: malformedHostResponse,
  },
};

export const createHealthzRoute = () =>
  new Elysia({ name: 'healthz' }).get(
    '/healthz',
    () => Response.json(alive, { headers: noStoreHeaders }),
    contract(getLiveness),
  );
