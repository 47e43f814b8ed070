import { define } from '../cli/arguments.ts';
import { time } from '../cli/time.ts';
import { oneOf } from '../config/values.ts';
import { letterStages } from '../kafka/headers.ts';
import { faultyFieldsOf } from './faulty-fields.ts';
import { type Letter, letterAddress, reasonText } from './letter.ts';

/** Options that select letters, the same for all commands. */
export const filterOptions = {
  stage: define({
    value: 'STAGE',
    ...oneOf(...letterStages),
    description: 'letters that failed at this stage: parse, validate or store',
  }),
  reason: define({
    value: 'TEXT',
    allowed: 'text',
    description: 'letters with this text in their reason or its class, case-insensitive',
    read: (text) => text || undefined,
  }),
  field: define({
    value: 'FIELD',
    allowed: 'a field, such as delivery.phone or items.*.price',
    description: 'letters of which this field is faulty: delivery.phone, items.*.price',
    read: (text) => text || undefined,
  }),
  since: define({
    ...time,
    description: 'letters whose message was sent at this time or later: 2h (ago) or RFC 3339',
  }),
  until: define({ ...time, description: 'letters whose message was sent before this time' }),
  uid: define({
    value: 'UID',
    allowed: 'an order_uid',
    description: 'letters with this key, or this order_uid in their value',
    read: (text) => text || undefined,
  }),
};

export type Filter = {
  stage?: string | undefined;
  reason?: string | undefined;
  /** As `faultyFieldsOf` names them. */
  field?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
  uid?: string | undefined;
  /** These letters, by their addresses. */
  letters?: ReadonlySet<string> | undefined;
};

type FilteredFields = Pick<
  Letter,
  'partition' | 'offset' | 'stage' | 'error' | 'reason' | 'time' | 'key' | 'value'
>;

export const matches = (
  letter: FilteredFields,
  { stage, reason, field, since, until, uid, letters }: Filter,
): boolean =>
  (letters === undefined || letters.has(letterAddress(letter))) &&
  (stage === undefined || letter.stage === stage) &&
  (reason === undefined || reasonText(letter).toLowerCase().includes(reason.toLowerCase())) &&
  (field === undefined || faultyFieldsOf(letter).includes(field)) &&
  (since === undefined || letter.time >= since) &&
  (until === undefined || letter.time < until) &&
  (uid === undefined || letter.key?.toString() === uid || uidOf(letter.value) === uid);

const uidOf = (value: Buffer | null): unknown => {
  try {
    // Without its byte order mark, as the consumer reads it.
    return JSON.parse(new TextDecoder().decode(value ?? undefined))?.order_uid;
  } catch {
    return undefined;
  }
};
