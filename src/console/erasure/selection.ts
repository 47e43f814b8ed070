import { type Static, Type } from '@sinclair/typebox';
import { person } from '../../cli/person.ts';
import type { Selection } from '../../erasure/options.ts';
import { isOrderUid } from '../../order/order.ts';
import type { Invalid } from '../body.ts';

const maxUids = 1_000;
const text = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 200, description }));

export const EraseSchema = Type.Object(
  {
    uids: Type.Optional(
      Type.Array(Type.String({ minLength: 10, maxLength: 100 }), {
        minItems: 1,
        maxItems: maxUids,
        description: 'These orders; those that are not stored are only marked',
      }),
    ),
    phone: text('All stored orders with this phone number'),
    email: text('All stored orders with this email address, in capital or small letters'),
    customer_id: text('All stored orders of this customer'),
    dryRun: Type.Optional(Type.Boolean({ description: 'Only report what would be erased' })),
    count: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'As a dry run has reported; needed unless `dryRun` is true. Another one erases nothing',
      }),
    ),
    set: Type.Optional(
      Type.String({ maxLength: 64, description: 'As a dry run has reported. Another one erases nothing' }),
    ),
  },
  { additionalProperties: false },
);

/** What a way of naming orders may hold, more exactly than `EraseSchema` checks it; `selectionOf` does. */
const exact = {
  uids: { items: { type: 'string', minLength: 10, maxLength: 50, pattern: '^[^\\u0000]*$' } },
  phone: { maxLength: 50, pattern: '^\\+[ ().-]*([0-9][ ().-]*){5,15}$' },
  email: { maxLength: 100, pattern: '^[^\\u0000]*@[^\\u0000]*$' },
  customer_id: { maxLength: 50, pattern: '^[^\\n\\r\\u2028\\u2029\\u0000]+$' },
};

/** Bodies for the document: orders are named in one way, and `count` is needed unless it is a dry run. */
export const eraseBodies = Object.entries(exact).flatMap(([way, rule]) => {
  const { properties } = EraseSchema;
  const { dryRun, count, set } = properties;
  const named = { [way]: { ...properties[way as keyof typeof exact], ...rule }, count, set };
  const body = { type: 'object', additionalProperties: false };
  return [
    { ...body, properties: { ...named, dryRun: { ...dryRun, const: true } }, required: [way, 'dryRun'] },
    { ...body, properties: { ...named, dryRun: { ...dryRun, const: false } }, required: [way, 'count'] },
  ];
});

/** What orders are erased by. */
export const ways = ['uids', 'phone', 'email', 'customer'] as const;
export type Way = (typeof ways)[number];

/** The orders of a text, exactly as it is, or what is wrong with it. Numbers are a line each. */
export const toSelection = (by: Way, typed: string): Selection | Invalid => {
  if (by !== 'uids') {
    const value = person[by].read(typed);
    return value === undefined
      ? { invalid: `${by} is not allowed; allowed: ${person[by].allowed}.` }
      : { trait: by, value };
  }
  return toUids(
    typed
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  );
};

const toUids = (uids: readonly string[]): Selection | Invalid =>
  uids.length >= 1 && uids.length <= maxUids && uids.every(isOrderUid)
    ? { uids: [...new Set(uids)] }
    : {
        invalid: `uids is not allowed; allowed: 1 to ${maxUids} order numbers, each of 10 to 50 characters.`,
      };

/** The orders of a request's body. */
export const selectionOf = ({ uids, phone, email, customer_id }: Static<typeof EraseSchema>) => {
  const traits = Object.entries({ phone, email, customer: customer_id }) as [Way, string | undefined][];
  const given = traits.filter(([, value]) => value !== undefined);
  if (given.length + (uids ? 1 : 0) !== 1)
    return { invalid: 'The body needs one of these: "uids", "phone", "email", "customer_id".' };
  const [[by, value] = []] = given;
  return by !== undefined && value !== undefined ? toSelection(by, value) : toUids(uids ?? []);
};

/** The name of what a selection is by. */
export const wayOf = (selection: Selection): Way => ('trait' in selection ? selection.trait : 'uids');
