import type { FencedRange, Group, Offsets } from '../postgres/offsets.ts';
import type { Batch } from './batch.ts';
import { createFenceError } from './fence.ts';

type Options = {
  group: Group;
  offsets: Pick<Offsets, 'read'>;
  /** Runs a query, again while PostgreSQL is down. */
  query: <T>(run: () => Promise<T>) => Promise<T>;
};

/**
 * Writes of one batch, of which PostgreSQL executes none unless the stored offset and the claim are those of the batch. Each
 * write replaces the claim. Rejects with a fence.
 */
export const createFencedWrite =
  ({ group, offsets, query }: Options, { partition, from, to, leaderEpoch, claim }: Batch) =>
  /**
   * `write` resolves with undefined when it was fenced off. The result is undefined when an attempt whose answer was lost has moved
   * the stored offset to the end of the range, so that nothing of the batch is left to do.
   */
  async <T>(write: (range: FencedRange) => Promise<T | undefined>): Promise<T | undefined> => {
    const nextClaim = crypto.randomUUID();
    const range = { ...group, partition, from, to, leaderEpoch, claim: claim.value, nextClaim };
    for (let attempt = 0; ; attempt++) {
      const answer = await query(() => write(range));
      if (answer !== undefined) {
        claim.value = range.nextClaim;
        return answer;
      }
      const stored = (await query(() => offsets.read(group))).get(partition);
      const isOurs = stored?.claim === range.nextClaim;
      if (isOurs && stored.nextOffset === to) {
        claim.value = range.nextClaim;
        return undefined;
      }
      // An attempt whose connection was lost continued in PostgreSQL, and has released the row's lock only now.
      if (isOurs && stored.nextOffset === from && attempt === 0) continue;
      throw createFenceError({ reason: 'claim', partition, from, to, expected: stored?.nextOffset });
    }
  };
