import type { Language } from './language.ts';
import type { Plural } from './plural.ts';

/** Formats numbers, money and times for a language. */
export const createFormat = (language: Language) => {
  const rules = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  const precise = new Intl.NumberFormat(language, { maximumSignificantDigits: 2 });
  const percent = new Intl.NumberFormat(language, { style: 'percent' });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  const currencies = new Map<string, Intl.NumberFormat>();
  const zones = new Map<string, Intl.DateTimeFormat>();

  const timesIn = (timeZone: string) => {
    const known = zones.get(timeZone);
    if (known) return known;
    const times = new Intl.DateTimeFormat(datesIn(language), { ...shortTime, timeZone });
    zones.set(timeZone, times);
    return times;
  };

  return {
    /** The amount is in whole units of the currency. A currency without an ISO 4217 code, such as USDT, follows the number. */
    money(amount: number | bigint, currency: string) {
      if (!hasIsoForm(currency)) return `${numbers.format(amount)} ${currency}`;
      const known = currencies.get(currency);
      const format = known ?? new Intl.NumberFormat(language, { ...money, currency });
      if (!known) currencies.set(currency, format);
      return format.format(amount);
    },
    number: (value: number) => numbers.format(value),
    /** A share in percent, 30 → "−30 %". */
    discount: (value: number) => (value === 0 ? '' : `−${percent.format(value / 100)}`),
    /** A duration in ms, to two digits; below 0.01 ms only that. */
    duration(ms: number) {
      const unit = language === 'ru' ? 'мс' : 'ms';
      return ms < 0.01 ? `< ${numbers.format(0.01)} ${unit}` : `${precise.format(ms)} ${unit}`;
    },
    /** In this zone; without one in UTC, with the letters UTC. */
    time: (instant: Date, zone: string | undefined) =>
      zone ? timesIn(zone).format(instant) : `${timesIn('UTC').format(instant)} UTC`,
    /** How long before `now` it was, in the largest unit that fits. */
    relative(instant: Date, now: Date) {
      const seconds = (instant.getTime() - now.getTime()) / 1000;
      const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
      return relative.format(Math.round(seconds / length), unit);
    },
    count: (forms: Plural, n: number) =>
      fill(forms[rules.select(n)] ?? forms.other, { n: numbers.format(n) }),
  };
};

export type Format = ReturnType<typeof createFormat>;

/** English dates have the day first; the month is a name, so they cannot be misread. */
export const datesIn = (language: Language) => (language === 'en' ? 'en-GB' : language);

const shortTime = { dateStyle: 'medium', timeStyle: 'short' } as const;

/** Whether this is the name of a time zone. There are some hundreds, so the formats that are kept are bounded. */
export const isTimeZone = (name: string) => zoneNames.has(name);
const zoneNames = new Set(Intl.supportedValuesOf('timeZone'));

/** Intl knows codes of this form only, and throws at others; one that it does not know it writes as it is. */
const hasIsoForm = (currency: string) => /^[A-Za-z]{3}$/.test(currency);

const money = { style: 'currency', currencyDisplay: 'narrowSymbol' } as const;

/** Lengths in seconds; a month and a year in days of the Gregorian mean. */
const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_556_952],
  ['month', 2_629_746],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** The text with each `{name}` replaced by its value. */
export const fill = (text: string, values: Record<string, string>) =>
  text.replace(/\{(\w+)\}/g, (placeholder, name) => values[name] ?? placeholder);
