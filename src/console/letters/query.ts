import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { time } from '../../cli/time.ts';
import { letterStates, readCursor } from '../../dead-letters/browse.ts';
import type { Filter } from '../../dead-letters/filter.ts';
import type { ListQuery } from '../../dead-letters/operations.ts';
import type { Invalid } from '../body.ts';

/** What clients may send, and what is documented of it. */

const oneOf = <const Value extends string>(values: readonly Value[], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  );

const stages = ['parse', 'validate', 'store'] as const;
const timePattern = '^(\\d{1,6}[smhd]|\\d{4}-.{1,40})$';
const instant = (description: string) =>
  Type.String({ pattern: timePattern, description: `${description}: ${time.allowed}` });

export const filterFields = {
  stage: Type.Optional(oneOf(stages, 'Letters that failed at this stage')),
  reason: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'Letters with this text in their reason or its class, case-insensitive',
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

export const RedriveSchema = Type.Object(
  {
    ...selection,
    fix: Type.Optional(
      Type.Array(Type.Object({}, { additionalProperties: true }), {
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

export type RedriveBody = Static<typeof RedriveSchema>;
export type DiscardBody = Static<typeof DiscardSchema>;

type FilterTexts = { [Name in keyof typeof filterFields]?: string | undefined };

/** The filter of texts; `invalid` names the first that is wrong. Empty texts count as absent. */
export const toFilter = (texts: FilterTexts, letters?: readonly string[]): Filter | Invalid => {
  const given = Object.fromEntries(Object.entries(texts).filter(([, text]) => text));
  const [error] = Value.Errors(Type.Object(filterFields), given);
  const { stage, reason, uid } = given;
  const since = given.since === undefined ? undefined : time.read(given.since);
  const until = given.until === undefined ? undefined : time.read(given.until);
  const isWrong = (name: 'since' | 'until', read: number | undefined) =>
    given[name] !== undefined && read === undefined;
  const wrong = isWrong('since', since) ? 'since' : isWrong('until', until) ? 'until' : error?.path.slice(1);
  if (wrong !== undefined) return { invalid: allowedFor(wrong) };
  return { stage, reason, uid, since, until, ...(letters && { letters: new Set(letters) }) };
};

const allowedFor = (name: string) =>
  name === 'since' || name === 'until'
    ? `${name} is not allowed; allowed: ${time.allowed}.`
    : name === 'stage'
      ? `stage is not allowed; allowed: ${stages.join(', ')}.`
      : `${name} is not allowed; allowed: 1 to 200 characters.`;

export const maxPage = 200;
export const defaultPage = 50;
const states = [...letterStates, 'all'] as const;

export { stages, states };

/** The query of a list. */
export const readListQuery = (query: URLSearchParams): ListQuery | Invalid => {
  const text = (name: string) => query.get(name) ?? undefined;
  const filter = toFilter({
    stage: text('stage'),
    reason: text('reason'),
    since: text('since'),
    until: text('until'),
    uid: text('uid'),
  });
  if ('invalid' in filter) return filter;
  const state = states.find((one) => one === (text('state') || 'open'));
  if (!state) return { invalid: `state is not allowed; allowed: ${states.join(', ')}.` };
  const limit = Number(text('limit') || defaultPage);
  if (!Number.isInteger(limit) || limit < 1 || limit > maxPage)
    return { invalid: `limit is not allowed; allowed: an integer from 1 to ${maxPage}.` };
  const after = text('cursor') || undefined;
  if (after !== undefined && !readCursor(after))
    return { invalid: 'cursor is not allowed; allowed: the "next" of the page before.' };
  return { filter, state, limit, after };
};
