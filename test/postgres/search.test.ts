/** The search of orders by their items and email addresses, on PostgreSQL. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import { createErasures } from '../../src/postgres/erasures.ts';
import { createOrderSearch, type OrderSearch } from '../../src/postgres/search.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';

setDefaultTimeout(180_000);

const article = { nm_id: 2_389_212, rid: 'rid-of-all' };
const other = { nm_id: 1, rid: 'other' };

/** The order_uids, and the size of each page. */
const readAll = async (search: OrderSearch, field: 'nm_id' | 'rid', limit: number) => {
  const uids: string[] = [];
  const sizes: number[] = [];
  let after: string | undefined;
  do {
    const page = await search.byField[field](String(article[field]), { limit, after });
    uids.push(...page.orders.map((order) => order.order_uid));
    sizes.push(page.orders.length);
    after = page.next;
  } while (after !== undefined);
  return { uids, sizes };
};

test('orders found by their items are complete, each once and newest first, in full pages, with any numbers of items', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const search = createOrderSearch(sql);
  const numbers = fc.record({
    matching: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 15, max: 90 })),
    others: fc.integer({ min: 0, max: 2 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(numbers, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 5 }),
      fc.boolean(),
      async (counts, limit, isMixed) => {
        await sql`truncate orders restart identity cascade`;
        const orders = counts.map(({ matching, others }, index) =>
          buildOrder({
            order_uid: `order-number-${index}`,
            items: [...Array(matching).fill(article), ...Array(others || (matching > 0 ? 0 : 1)).fill(other)],
          }),
        );
        await createStore(sql).save(orders);
        // Consumers that store at once give their items ids in turn.
        if (isMixed)
          await sql`
            update items set id = default from (select id as old from items order by md5(id::text) for update) mixed
            where id = old`;
        const expected = await sql<{ order_uid: string }[]>`
          select order_uid from items where nm_id = ${article.nm_id} group by 1 order by max(id) desc`;
        for (const field of ['nm_id', 'rid'] as const) {
          const { uids, sizes } = await readAll(search, field, limit);
          expect(uids).toEqual(expected.map(({ order_uid }) => order_uid));
          expect(sizes.slice(0, -1).every((size) => size === limit)).toBeTrue();
        }
      },
    ),
    { numRuns: 40 },
  );
});

test('60 orders of 21 items with one article are two pages of 50 and 10', async () => {
  await using database = await testDatabase();
  await createStore(database.sql).save(
    Array.from({ length: 60 }, (_, index) =>
      buildOrder({ order_uid: `order-number-${index}`, items: Array(21).fill(article) }),
    ),
  );
  const { uids, sizes } = await readAll(createOrderSearch(database.sql), 'nm_id', 50);
  expect(sizes).toEqual([50, 10]);
  expect(new Set(uids).size).toBe(60);
});

test.each(['C', ''])(
  'an address beyond ASCII is found in either case, in a database with the locale %p',
  async (locale) => {
    await using database = await testDatabase({ locale });
    const { sql } = database;
    const addresses = [
      'ИВАН@ПОЧТА.example',
      'иван@почта.EXAMPLE',
      'Иван@Почта.example',
      'петр@почта.example',
    ];
    const orders = addresses.map((email, index) =>
      buildOrder({ order_uid: `order-number-${index}`, delivery: { email } }),
    );
    await createStore(sql).save(orders);
    const lowered = (await sql`select lower('И') = 'и' as "isSmall"`)[0]?.isSmall;
    if (locale === 'C') expect(lowered).toBeFalse();
    const erasures = createErasures(sql);
    const search = createOrderSearch(sql);
    for (const address of ['ИВАН@почта.example', 'иван@почта.example', 'ИВАН@ПОЧТА.EXAMPLE']) {
      expect(await erasures.findBy('email', address)).toEqual(
        [0, 1, 2].map((index) => `order-number-${index}`),
      );
      const { orders: found } = await search.byField.email(address, { limit: 9 });
      // Where PostgreSQL cannot lower the letters, the index finds what is all small, all capital or as it is typed.
      expect(found.map((order) => order.order_uid)).toEqual(
        (lowered ? [2, 1, 0] : [1, 0]).map((index) => `order-number-${index}`),
      );
    }
    expect(await erasures.findBy('email', 'Петр@почта.example')).toEqual(['order-number-3']);
    expect(await erasures.findBy('email', 'пет@почта.example')).toEqual([]);
  },
);
