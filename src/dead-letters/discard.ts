import type { Letter } from './letter.ts';

type Options = {
  /** Take back earlier discards. */
  undo: boolean;
  /** Maximum number of letters. */
  limit?: number | undefined;
  /** Resolves when the marks of letters of one partition are acknowledged. */
  mark: (letters: readonly Letter[]) => Promise<void>;
  /** Called after each batch with the letters that are marked. */
  report: (letters: readonly Letter[]) => Promise<void>;
};

/**
 * Marks letters as discarded, or, with `undo`, as no longer discarded. Those that are so already, and letters that were sent again,
 * are ignored. May be interrupted and repeated.
 */
export const discard = async (
  letters: AsyncIterable<Letter[]>,
  { undo, limit = Number.POSITIVE_INFINITY, mark, report }: Options,
): Promise<void> => {
  let remaining = limit;
  for await (const batch of letters) {
    const found = batch
      .filter(({ isRedriven, isDiscarded }) => !isRedriven && isDiscarded === undo)
      .slice(0, remaining);
    if (found.length === 0) continue;
    await mark(found);
    await report(found);
    remaining -= found.length;
    if (remaining <= 0) return;
  }
};
