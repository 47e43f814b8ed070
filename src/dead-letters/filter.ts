import { define, oneOf } from '../cli/arguments.ts';
import { toInstant } from '../order/instant.ts';
import type { Letter } from './letter.ts';

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** An instant in ms, from RFC 3339 or a time ago such as `2h`. */
export const time = {
  value: 'TIME',
  allowed: 'a time ago such as 90s, 15m, 2h or 7d, or an RFC 3339 date-time such as 2026-01-31T08:00:00Z',
  read(text: string): number | undefined {
    const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
    if (count && unit) return Date.now() - Number(count) * units[unit as keyof typeof units];
    const instant = toInstant(text);
    return instant === undefined ? undefined : Date.parse(instant);
  },
};

/** Which letters a command is about; the options that say so are alike in all. */
export const filterOptions = {
  stage: define({
    value: 'STAGE',
    ...oneOf('parse', 'validate', 'store'),
    description: 'letters that failed there: parse, validate or store',
  }),
  reason: define({
    value: 'TEXT',
    allowed: 'text',
    description: 'letters with this text in their reason or its class, in upper or lower case',
    read: (text) => text || undefined,
  }),
  since: define({
    ...time,
    description: 'letters whose message was sent then or later: 2h (ago) or RFC 3339',
  }),
  until: define({ ...time, description: 'letters whose message was sent before' }),
  uid: define({
    value: 'UID',
    allowed: 'an order_uid',
    description: 'letters with this key, or with this order_uid in their value',
    read: (text) => text || undefined,
  }),
};

export type Filter = {
  stage?: string | undefined;
  reason?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
  uid?: string | undefined;
};

type Filtered = Pick<Letter, 'stage' | 'error' | 'reason' | 'time' | 'key' | 'value'>;

export const matches = (letter: Filtered, { stage, reason, since, until, uid }: Filter): boolean =>
  (stage === undefined || letter.stage === stage) &&
  (reason === undefined || reasonText(letter).toLowerCase().includes(reason.toLowerCase())) &&
  (since === undefined || letter.time >= since) &&
  (until === undefined || letter.time < until) &&
  (uid === undefined || letter.key?.toString() === uid || uidOf(letter.value) === uid);

/** `ValidationError: order_uid is missing` */
export const reasonText = ({ error, reason }: Pick<Letter, 'error' | 'reason'>): string =>
  [error, reason].filter((part) => part !== undefined).join(': ');

const uidOf = (value: Buffer | null): unknown => {
  try {
    return JSON.parse(String(value))?.order_uid;
  } catch {
    return undefined;
  }
};
