import { expect, test } from 'bun:test';
import { closeAllBidi, closeBidi } from '../../views/bidi.ts';
import { buildOrder } from '../support/build-order.ts';

test.each([
  ['שלום, world', 'שלום, world'],
  ['\u202eabc\u2066', '\u202eabc\u2066\u2069\u202c'],
  ['\u202aa\u202bb\u202dc', '\u202aa\u202bb\u202dc\u202c\u202c\u202c'],
  ['\u2067a\u2068b', '\u2067a\u2068b\u2069\u2069'],
  ['\u202ea\u202c', '\u202ea\u202c'],
  ['\u2067a\u2069', '\u2067a\u2069'],
  // The end of an isolate ends what began in it; no end of an embedding ends an isolate.
  ['\u2067\u202ea\u2069', '\u2067\u202ea\u2069'],
  ['\u2067a\u202c', '\u2067a\u202c\u2069'],
  // Ends without a beginning would close the <bdi> itself.
  ['\u2069\u202ea', '\u2068\u2069\u202ea\u202c'],
  ['\u202ea\u2069\u202eb', '\u2068\u202ea\u2069\u202eb\u202c'],
  ['a\u202c', 'a\u202c'],
])('%j is shown as %j', (text, shown) => {
  expect(closeBidi(text)).toBe(shown);
});

test('an order without bidi controls is shown as it is', () => {
  const order = buildOrder();
  expect(closeAllBidi(order)).toEqual(order);
});
