import { Type } from '@sinclair/typebox';
import { letterStates, listStates, maxListed } from '../../dead-letters/browse.ts';
import type { ChangeOutcome } from '../../dead-letters/operations.ts';
import { jsonResponse, problemResponse, retryHeaders } from '../../http/contract.ts';
import { bodyOf } from '../body.ts';
import { operation, text } from '../contract.ts';
import { badRequest } from '../problems.ts';
import { DiscardSchema, filterFields, maxPage, RedriveSchema } from './query.ts';

export const unavailable = {
  status: 503,
  title: 'Temporarily unavailable',
  detail: 'Kafka does not answer. Please try again shortly.',
};
export const unknown = {
  status: 404,
  title: 'No such letter',
  detail: 'The dead-letter topic has no letter there.',
};

/** One line of a change's answer. */
export const line = (value: unknown) => `${JSON.stringify(value)}\n`;

const counts = {
  type: 'array',
  items: {
    type: 'object',
    required: ['name', 'count'],
    properties: { name: text, count: { type: 'integer' } },
  },
} as const;
const rowSchema = {
  type: 'object',
  required: ['letter', 'time', 'stage', 'key', 'reason', 'redrives', 'state'],
  properties: {
    letter: { ...text, description: 'PARTITION/OFFSET' },
    time: { type: ['string', 'null'], description: 'When its message was sent' },
    stage: text,
    key: { type: ['string', 'null'] },
    reason: text,
    redrives: { type: 'integer', description: 'How often the message had been sent again before' },
    state: { ...text, enum: letterStates },
  },
} as const;
const exampleRow = {
  letter: '3/17',
  time: '2026-11-26T08:00:00.000Z',
  stage: 'validate',
  key: 'b563feb7b2b84b6test',
  reason: 'ValidationError: locale is not one of en, ru',
  redrives: 0,
  state: 'open',
};

const parametersOf = (fields: Record<string, { description?: string }>) =>
  Object.entries(fields).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    description,
    schema,
  }));

const unavailableResponse = problemResponse('Kafka does not answer', unavailable, retryHeaders);

export const listOperation = operation({
  operationId: 'listDeadLetters',
  summary: 'Dead letters, newest first, and how many there are',
  description: `Of the newest ${maxListed} messages of the dead-letter topic. The counts are of all letters that match, the fields and stages with most letters first.`,
  parameters: parametersOf({
    ...filterFields,
    state: { ...text, enum: listStates, description: 'What has become of them; without it: open' } as object,
    limit: { type: 'integer', minimum: 1, maximum: maxPage, description: 'Letters of a page' } as object,
    cursor: {
      ...text,
      pattern: '^(-1|\\d{1,16})_\\d{1,9}_\\d{1,18}$',
      description: 'The `next` of the page before',
    } as object,
  }),
  responses: {
    200: jsonResponse(
      'A page of letters',
      {
        type: 'object',
        required: ['letters', 'counts', 'next'],
        properties: {
          letters: { type: 'array', items: rowSchema },
          counts: {
            type: 'object',
            required: ['total', 'older', 'stages', 'fields', 'ages'],
            properties: {
              total: { type: 'integer' },
              older: {
                type: 'integer',
                description: `Messages of the topic that were not read, as there are ${maxListed} newer ones`,
              },
              stages: counts,
              fields: counts,
              ages: counts,
            },
          },
          next: { type: ['string', 'null'] },
        },
      },
      {
        letters: [exampleRow],
        counts: {
          total: 1,
          older: 0,
          stages: [{ name: 'validate', count: 1 }],
          fields: [{ name: 'locale', count: 1 }],
          ages: [{ name: 'day', count: 1 }],
        },
        next: null,
      },
    ),
    400: problemResponse(
      'A parameter is not allowed',
      badRequest('stage is not allowed; allowed: parse, validate, store.'),
    ),
    503: unavailableResponse,
  },
});

export const showOperation = operation({
  operationId: 'getDeadLetter',
  summary: 'One dead letter with its value',
  description: 'Texts are escaped for a person and cut. `lines`: the value, with what is wrong at its field.',
  parameters: [
    {
      name: 'letter',
      in: 'query',
      required: true,
      description: 'PARTITION/OFFSET',
      schema: { type: 'string', pattern: '^\\d{1,9}/\\d{1,18}$' },
      example: '3/17',
    },
  ],
  responses: {
    200: jsonResponse(
      'The letter',
      { ...rowSchema, required: [...rowSchema.required, 'check', 'lines'] },
      {
        ...exampleRow,
        from: '3/1204 of orders',
        headers: [],
        bytes: 17,
        check: { isValid: false, stage: 'validate', faults: ['locale is not one of en, ru'] },
        lines: [
          { text: '{', faults: [] },
          { text: '  "locale": "de"', faults: ['is not one of en, ru'] },
          { text: '}', faults: [] },
        ],
        isCut: false,
        text: '{\n  "locale": "de"\n}',
        uid: 'b563feb7b2b84b6test',
      },
    ),
    400: problemResponse(
      'The address is malformed',
      badRequest('letter is not allowed; allowed: PARTITION/OFFSET, such as 3/17.'),
    ),
    404: problemResponse('No letter is there', unknown),
    503: unavailableResponse,
  },
});

const exampleOutcome: ChangeOutcome = { read: 1, done: 2, skipped: 0, skippedLetters: [] };
const changeResponses = {
  200: {
    description:
      'One JSON object a line: the progress each second, and the outcome at the end, whose `state` is `done` or `failed`. Closing the connection stops the change, after the letters in flight.',
    content: {
      'application/x-ndjson': {
        schema: { type: 'string' },
        example: `${line({ read: 0.5, done: 1, skipped: 0 })}${line({ state: 'done', ...exampleOutcome })}`,
      },
    },
  },
  400: problemResponse('The body is wrong', badRequest('The body is not JSON.')),
};
/** A body names letters by one of these, or by both. */
const selected = (schema: object) => [
  { ...schema, required: ['filter'] },
  { ...schema, required: ['letters'] },
];
const withValue = Type.Omit(RedriveSchema, ['fix']);
/** A new value is for one letter. */
const replacement = {
  ...withValue,
  properties: { ...withValue.properties, letters: { ...withValue.properties.letters, maxItems: 1 } },
  required: ['letters', 'value'],
};

export const redriveOperation = operation({
  operationId: 'redriveDeadLetters',
  summary: 'Sends the messages of dead letters again',
  description:
    'As they were, changed by a JSON Patch, or with another value. What is still not a valid order is skipped and listed; letters that were sent again or discarded are left out.',
  requestBody: bodyOf(
    { anyOf: [...selected(Type.Omit(RedriveSchema, ['value'])), replacement] },
    {
      filter: { reason: 'locale' },
      fix: [{ op: 'replace', path: '/locale', value: 'en' }],
      dryRun: true,
    },
  ),
  responses: changeResponses,
});

export const discardOperation = operation({
  operationId: 'discardDeadLetters',
  summary: 'Discards dead letters, or takes that back',
  requestBody: bodyOf({ anyOf: selected(DiscardSchema) }, { letters: ['3/17'], dryRun: true }),
  responses: changeResponses,
});
