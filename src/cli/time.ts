import { toInstant } from '../order/instant.ts';

const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** An option that holds a time, in ms since 1970: relative to now (`2h` ago) or in RFC 3339. */
export const time = {
  value: 'TIME',
  allowed: 'a time ago such as 90s, 15m, 2h or 7d, or an RFC 3339 date-time such as 2026-01-31T08:00:00Z',
  read(text: string): number | undefined {
    const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
    if (count && unit) return Date.now() - Number(count) * unitsMs[unit as keyof typeof unitsMs];
    const instant = toInstant(text);
    return instant === undefined ? undefined : Date.parse(instant);
  },
};
