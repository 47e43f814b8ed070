import { Kind, Type, TypeRegistry } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { time } from '../../cli/time.ts';
import { listStates, readCursor } from '../../dead-letters/browse.ts';
import type { Filter } from '../../dead-letters/filter.ts';
import type { ListQuery } from '../../dead-letters/operations.ts';
import { letterStages } from '../../kafka/headers.ts';
import type { Invalid } from '../body.ts';

/** What clients may send, and what is documented of it. */

const oneOf = <const Value extends string>(values: readonly Value[], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  );

TypeRegistry.Set('Time', (_, value) => typeof value === 'string' && time.read(value) !== undefined);
const instant = (description: string) =>
  Type.Unsafe<string>({
    [Kind]: 'Time',
    anyOf: [
      { type: 'string', pattern: '^\\d{1,6}[smhd]$' },
      { type: 'string', format: 'date-time' },
    ],
    description: `${description}: ${time.allowed}`,
  });

export const filterFields = {
  stage: Type.Optional(oneOf(letterStages, 'Letters that failed at this stage')),
  reason: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'Letters with this text in their reason or its class, case-insensitive',
    }),
  ),
  field: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'Letters of which this field is faulty: `delivery.phone`, `items.*.price`',
    }),
  ),
  since: Type.Optional(instant('Letters whose message was sent at this time or later')),
  until: Type.Optional(instant('Letters whose message was sent before this time')),
  uid: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'Letters with this key, or this order_uid in their value',
    }),
  ),
};

const addressPattern = '^\\d{1,9}/\\d{1,18}$';
const selection = {
  filter: Type.Optional(
    Type.Object(filterFields, {
      additionalProperties: false,
      description: 'Letters that match all of it; `{}`: all letters',
    }),
  ),
  letters: Type.Optional(
    Type.Array(Type.String({ pattern: addressPattern }), {
      minItems: 1,
      maxItems: 1_000,
      description: 'These letters, as PARTITION/OFFSET',
    }),
  ),
  dryRun: Type.Optional(Type.Boolean({ description: 'Only report what would be done' })),
};

const pointer = {
  type: 'string',
  pattern: '^(/([^/~]|~[01])*)*$',
  not: { pattern: '/(__proto__|constructor|prototype)(/|$)' },
};
/** For the document; `toFix` checks it. */
const patchOperation = {
  anyOf: [
    {
      required: ['op', 'path', 'value'],
      properties: { op: { enum: ['add', 'replace', 'test'] }, path: pointer },
    },
    { required: ['op', 'path'], properties: { op: { enum: ['remove'] }, path: pointer } },
    {
      required: ['op', 'path', 'from'],
      properties: { op: { enum: ['move', 'copy'] }, path: pointer, from: pointer },
    },
  ],
};

export const RedriveSchema = Type.Object(
  {
    ...selection,
    fix: Type.Optional(
      Type.Array(Type.Object({}, { additionalProperties: true, ...patchOperation }), {
        minItems: 1,
        maxItems: 100,
        description: 'A JSON Patch (RFC 6902) for the values',
      }),
    ),
    value: Type.Optional(
      Type.String({ description: 'The value to send instead of that of the letter; for a single letter' }),
    ),
  },
  { additionalProperties: false },
);
export const DiscardSchema = Type.Object(
  { ...selection, undo: Type.Optional(Type.Boolean({ description: 'Take earlier discards back' })) },
  { additionalProperties: false },
);

type FilterTexts = { [Name in keyof typeof filterFields]?: string | undefined };

/** The filter of texts; `invalid` names the first that is wrong. */
export const toFilter = (texts: FilterTexts, letters?: readonly string[]): Filter | Invalid => {
  const given = Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined));
  const [error] = Value.Errors(Type.Object(filterFields), given);
  if (error) return { invalid: allowedFor(error.path.slice(1)) };
  const { stage, reason, field, uid, since, until } = given;
  const timeOf = (text: string | undefined) => (text === undefined ? undefined : time.read(text));
  return {
    stage,
    reason,
    field,
    uid,
    since: timeOf(since),
    until: timeOf(until),
    ...(letters && { letters: new Set(letters) }),
  };
};

const allowedFor = (name: string) =>
  name === 'since' || name === 'until'
    ? `${name} is not allowed; allowed: ${time.allowed}.`
    : name === 'stage'
      ? `stage is not allowed; allowed: ${letterStages.join(', ')}.`
      : `${name} is not allowed; allowed: 1 to 200 characters.`;

export const maxPage = 200;
const defaultPage = 50;

/** The query of a list. */
export const readListQuery = (query: URLSearchParams): ListQuery | Invalid => {
  const text = (name: string) => query.get(name) ?? undefined;
  const filter = toFilter({
    stage: text('stage'),
    reason: text('reason'),
    field: text('field'),
    since: text('since'),
    until: text('until'),
    uid: text('uid'),
  });
  if ('invalid' in filter) return filter;
  const state = listStates.find((one) => one === (text('state') ?? 'open'));
  if (!state) return { invalid: `state is not allowed; allowed: ${listStates.join(', ')}.` };
  const limit = Number(text('limit') ?? defaultPage);
  if (!Number.isInteger(limit) || limit < 1 || limit > maxPage)
    return { invalid: `limit is not allowed; allowed: an integer from 1 to ${maxPage}.` };
  const after = text('cursor');
  if (after !== undefined && !readCursor(after))
    return { invalid: 'cursor is not allowed; allowed: the "next" of the page before.' };
  return { filter, state, limit, after };
};
