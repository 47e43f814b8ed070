const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** What `toInstant` returns for itself. Without the last days of months, which differ, and the years before 1000. */
const canonical =
  /^[1-9]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{0,5}[1-9])?Z$/;

/** RFC 3339 allows any number of decimals, so it sets no limit. */
export const maxInstantLength = 100;

/**
 * Converts an RFC 3339 date-time to UTC, truncated to microseconds, without trailing zeros:
 * `2026-11-22T12:56:40.964652744+03:00` → `2026-11-22T09:56:40.964652Z`. Undefined for any other text, for instants outside the
 * years 1–9999, and for more than 100 characters. A leap second (23:59:60 UTC) is the second after it, as in PostgreSQL.
 */
export const toInstant = (text: string): string | undefined => {
  if (canonical.test(text)) return text;
  const match = text.length <= maxInstantLength ? rfc3339.exec(text) : null;
  if (!match) return undefined;
  const [
    ,
    year,
    month,
    day,
    hour,
    minute,
    second,
    fraction = '',
    sign,
    offsetHour = '0',
    offsetMinute = '0',
  ] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string?,
    string?,
    string?,
    string?,
  ];
  if (+hour > 23 || +minute > 59 || +second > 60 || +offsetHour > 23 || +offsetMinute > 59) return undefined;

  const at = new Date(0);
  at.setUTCFullYear(+year, +month - 1, +day);
  if (at.getUTCMonth() !== +month - 1 || at.getUTCDate() !== +day) return undefined;
  const offset = (sign === '-' ? -1 : 1) * (+offsetHour * 60 + +offsetMinute);
  at.setUTCHours(+hour, +minute - offset, +second);
  if (second === '60' && at.getTime() % 86_400_000 !== 0) return undefined;
  if (at.getUTCFullYear() < 1 || at.getUTCFullYear() > 9999) return undefined;

  const microseconds = fraction.slice(0, 6).replace(/0+$/, '');
  return `${at.toISOString().slice(0, 19)}${microseconds && `.${microseconds}`}Z`;
};
