import { expect, setDefaultTimeout, test } from 'bun:test';
import { browse, maxHeld, type Page, pageOf } from '../../src/dead-letters/browse.ts';
import type { Letter } from '../../src/dead-letters/letter.ts';
import { createLetterOperations } from '../../src/dead-letters/operations.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { brokers } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';

setDefaultTimeout(180_000);

const letterOf = (n: number) =>
  ({
    partition: n % 3,
    offset: String(n),
    // Several have the same time.
    time: 1_795_660_800_000 + Math.floor(n / 5),
    key: null,
    value: null,
    stage: 'parse',
    redrives: 0,
    isRedriven: false,
    isDiscarded: false,
  }) as unknown as Letter;

const count = 2 * maxHeld + 77;
async function* letters() {
  for (let n = 0; n < count; n += 100)
    yield Array.from({ length: Math.min(100, count - n) }, (_, at) => letterOf(n + at));
}

test('pages come from what one reading holds, the rest from another, and together they are all letters', async () => {
  const seen: string[] = [];
  let readings = 0;
  let listing: Awaited<ReturnType<typeof browse>> | undefined;
  let after: string | undefined;
  do {
    let page = listing && pageOf(listing, { limit: 100, after });
    if (!page) {
      readings++;
      listing = await browse(letters(), { state: 'all', after, older: 0 });
      expect(listing.found.length).toBeLessThanOrEqual(maxHeld);
      page = pageOf(listing, { limit: 100, after }) as Page;
    }
    expect(page.counts.total).toBe(count);
    seen.push(...page.letters.map(({ letter }) => letter));
    after = page.next ?? undefined;
  } while (after !== undefined);
  expect(seen).toHaveLength(count);
  expect(new Set(seen).size).toBe(count);
  const times = seen.map((letter) => Math.floor(Number(letter.split('/')[1]) / 5));
  expect(times).toEqual(times.toSorted((one, other) => other - one));
  expect(readings).toBe(3);
});

test('a listing that begins at a later page has no first page', async () => {
  const first = await browse(letters(), { state: 'all', after: undefined, older: 0 });
  const { next } = pageOf(first, { limit: 10 }) as Page;
  const later = await browse(letters(), { state: 'all', after: next ?? undefined, older: 0 });
  expect(pageOf(later, { limit: 10 })).toBeUndefined();
  expect(pageOf(later, { limit: 10, after: next ?? '' })).toEqual(
    pageOf(first, { limit: 10, after: next ?? '' }),
  );
});

test('of a large topic the newest letters are listed, how many are older is reported, and a change reaches all', async () => {
  await using pipeline = await openPipeline();
  const { topic, deadLetterTopic } = pipeline;
  await pipeline.send(Array.from({ length: 25 }, (_, n) => ({ key: `k${n}`, value: 'no JSON' })));
  pipeline.join();
  await pipeline.drained();
  const operations = createLetterOperations({
    kafka: { brokers: await brokers(), ssl: false, sasl: undefined },
    topic,
    deadLetterTopic,
    rules: defaultRules,
    maxBatchBytes: null,
    maxListed: 10,
  });
  const run = { signal: new AbortController().signal };
  const list = (after?: string) => operations.list({ filter: {}, state: 'open', limit: 6, after }, run);
  const page = await list();
  expect(page.counts).toMatchObject({ total: 10, older: 15 });
  const rest = await list(page.next ?? '');
  expect([page.letters.length, rest.letters.length, rest.next]).toEqual([6, 4, null]);
  expect((await operations.show({ partition: 0, offset: 0n }, run))?.letter).toBe('0/0');
  expect(await operations.discard({ filter: {}, undo: false, isDry: false }, run)).toMatchObject({
    done: 25,
  });
  // The topic has changed, so the listing that was held is not used.
  expect((await list()).letters).toEqual([]);
});
