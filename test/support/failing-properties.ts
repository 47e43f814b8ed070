/** Properties that fail, for `test/property-seed.test.ts`. */
import { expect, test } from 'bun:test';
import fc from 'fast-check';

test('sync', () => {
  fc.assert(
    fc.property(fc.nat(), (number) => {
      expect(number).toBeLessThan(1_000);
    }),
  );
});

test('async', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (number) => {
      expect(number).toBeLessThan(1_000);
    }),
  );
});

test('without an end', async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), () => new Promise<void>(() => {})));
}, 200);
