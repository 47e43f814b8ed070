import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { toInstant } from '../../src/order/instant.ts';

test.each([
  ['2026-11-22T12:56:40Z', '2026-11-22T12:56:40Z'],
  ['2026-11-22t12:56:40z', '2026-11-22T12:56:40Z'],
  ['2026-11-22T12:56:40.964652744+03:00', '2026-11-22T09:56:40.964652Z'],
  ['2026-11-22T12:56:40.9999999Z', '2026-11-22T12:56:40.999999Z'],
  ['2026-11-22T12:56:40.100000Z', '2026-11-22T12:56:40.1Z'],
  ['2026-11-22T12:56:40.0000009Z', '2026-11-22T12:56:40Z'],
  ['2026-11-22T00:30:00+00:45', '2026-11-21T23:45:00Z'],
  ['2026-11-22T12:00:00-00:00', '2026-11-22T12:00:00Z'],
  ['2026-11-22T00:00:00-23:59', '2026-11-22T23:59:00Z'],
  ['2024-02-29T00:00:00+05:00', '2024-02-28T19:00:00Z'],
  ['2000-02-29T12:00:00Z', '2000-02-29T12:00:00Z'],
  ['0000-12-31T23:30:00-01:00', '0001-01-01T00:30:00Z'],
  ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
  ['0099-12-31T23:59:59Z', '0099-12-31T23:59:59Z'],
  ['9999-12-31T23:59:59.999999999Z', '9999-12-31T23:59:59.999999Z'],
  ['1960-12-31T23:59:60Z', '1961-01-01T00:00:00Z'],
  ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00Z'],
  ['2017-01-01T02:59:60.5+03:00', '2017-01-01T00:00:00.5Z'],
  ['2016-12-31T15:59:60.123456-08:00', '2017-01-01T00:00:00.123456Z'],
])('%s is %s', (text, instant) => expect(toInstant(text)).toBe(instant));

test.each([
  '',
  'yesterday',
  '2026-11-22',
  '2026-11-22T12:56:40',
  '2026-11-22 12:56:40Z',
  '2026-11-22T12:56Z',
  '2026-11-22T12:56:40.Z',
  '2026-11-22T12:56:40,5Z',
  '2026-11-22T12:56:40+0300',
  '2026-11-22T12:56:40+03',
  '2026-11-22T12:56:40+24:00',
  '2026-11-22T12:56:40+03:60',
  '2026-11-22T24:00:00Z',
  '2026-11-22T12:60:00Z',
  '2026-11-22T12:56:61Z',
  '2026-11-22T12:56:60Z',
  '2016-12-31T23:59:60+01:00',
  '9999-12-31T23:59:60Z',
  '2026-02-29T00:00:00Z',
  '1900-02-29T00:00:00Z',
  '2026-04-31T00:00:00Z',
  '2026-00-10T00:00:00Z',
  '2026-13-10T00:00:00Z',
  '2026-01-00T00:00:00Z',
  '2026-01-32T00:00:00Z',
  '0000-06-01T00:00:00Z',
  '0001-01-01T00:30:00+01:00',
  '9999-12-31T23:30:00-01:00',
  '10000-01-01T00:00:00Z',
  '-001-01-01T00:00:00Z',
  '+002026-01-01T00:00:00Z',
  '٢٠٢٦-11-22T12:56:40Z',
  ' 2026-11-22T12:56:40Z',
  '2026-11-22T12:56:40Z\n',
  '2026-11-22T12:56:40Z2026-11-22T12:56:40Z',
])('%j is no instant', (text) => expect(toInstant(text)).toBeUndefined());

test('an instant is the same in every time zone, and parsing it again changes nothing', () => {
  const bounds = {
    min: new Date('0001-01-02T00:00:00Z'),
    max: new Date('9999-12-30T00:00:00Z'),
    noInvalidDate: true,
  };
  const offset = fc.record({ sign: fc.constantFrom('+', '-'), hours: fc.nat(23), minutes: fc.nat(59) });
  fc.assert(
    fc.property(fc.date(bounds), offset, fc.nat(999_999_999), (date, { sign, hours, minutes }, nanos) => {
      const local = new Date(date.getTime() + (sign === '+' ? 1 : -1) * (hours * 60 + minutes) * 60_000);
      const two = (n: number) => String(n).padStart(2, '0');
      const fraction = String(nanos).padStart(9, '0');
      const text = `${local.toISOString().slice(0, 19)}.${fraction}${sign}${two(hours)}:${two(minutes)}`;
      const instant = toInstant(text) as string;
      const micros = fraction.slice(0, 6).replace(/0+$/, '');
      expect(instant).toBe(`${date.toISOString().slice(0, 19)}${micros && '.'}${micros}Z`);
      expect(toInstant(instant)).toBe(instant);
    }),
    { numRuns: 2_000 },
  );
});

test('the canonical form of a date is read as any other', () => {
  const part = (max: number) => fc.integer({ min: 0, max }).map((value) => String(value).padStart(2, '0'));
  const date = fc
    .tuple(
      fc.constantFrom('0001', '0999', '1000', '1970', '2024', '9999'),
      part(13),
      part(32),
      part(24),
      part(60),
      part(60),
    )
    .map(([year, month, day, hour, minute, second]) => `${year}-${month}-${day}T${hour}:${minute}:${second}`);
  const fraction = fc.constantFrom('', '.', '.1', '.10', '.000001', '.0000001', '.123456', '.1234567');
  fc.assert(
    fc.property(date, fraction, (date, fraction) => {
      expect(toInstant(`${date}${fraction}Z`)).toBe(toInstant(`${date}${fraction}z`));
    }),
    { numRuns: 5_000 },
  );
});
