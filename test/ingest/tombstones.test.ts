/** Messages without a value: dead letters, or skipped. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { buildOrder } from '../support/build-order.ts';
import { openPipeline } from '../support/pipeline.ts';

setDefaultTimeout(60_000);

const order = buildOrder({ order_uid: 'beside-a-tombstone' });
const tombstone = { key: 'a key', value: null };
const messages = [
  tombstone,
  { key: order.order_uid, value: JSON.stringify(order) },
  { key: 'a', value: '' },
  tombstone,
];

for (const [tombstones, letters, skipped] of [
  ['dead-letter', 3, 0],
  ['skip', 1, 2],
] as const)
  test(`with KAFKA_TOMBSTONES=${tombstones} ${skipped} messages are skipped and ${letters} become letters`, async () => {
    await using pipeline = await openPipeline({ settings: { tombstones } });
    await pipeline.send(messages);
    const { outcomes } = pipeline.join();
    await pipeline.drained();
    // Nothing but tombstones in a batch.
    await pipeline.send([tombstone]);
    await pipeline.drained();
    const more = tombstones === 'skip' ? 0 : 1;
    expect(await pipeline.letters()).toHaveLength(letters + more);
    expect(outcomes.reduce((sum, outcome) => sum + outcome.tombstones, 0)).toBe(skipped + (1 - more));
    expect(outcomes.flatMap(({ stored }) => stored.map(({ order_uid }) => order_uid))).toEqual([
      order.order_uid,
    ]);
    expect([...(await pipeline.storedOffsets()).values()]).toEqual([5]);
  });
