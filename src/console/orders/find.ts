import type { FoundPage, OrderSearch, SearchField } from '../../postgres/search.ts';
import { type Candidate, recognise, type SearchKind } from './recognise.ts';

export type OrderList = FoundPage & {
  /** What the text was taken for: of what was found, or else the likeliest. */
  kind: SearchKind | undefined;
  /** What the text may also be, and cannot be searched by now. */
  unsearched: SearchField[];
};

type Options = {
  search: OrderSearch;
  /** The fields whose index is complete. */
  readyFields: () => Promise<ReadonlySet<SearchField>>;
};

const numbers: readonly SearchKind[] = ['newest', 'number', 'short', 'beginning'];

/** A cursor belongs to the kind that was found: a page of another kind would be of other orders. */
export const cursorPattern =
  '^((newest|number|track|customer|phone|email|transaction|rid|nm_id)~\\d{1,18}|(short|beginning)~[^\\u0000]{1,60})$';
const cursorShape = new RegExp(cursorPattern, 'u');

/** Whether a text is the cursor of a page. */
export const isCursor = (text: string): boolean => cursorShape.test(text);

/** The kind and the place of a cursor. */
const splitCursor = (cursor: string) => {
  const at = cursor.indexOf('~');
  return { from: cursor.slice(0, at), after: cursor.slice(at + 1) };
};

/** Finds orders by whatever was typed: by what it may be, the likeliest first, until something is found. */
export const createFindOrders = ({ search, readyFields }: Options) => {
  const run = (
    { kind, value, end = '' }: Candidate,
    paging: { limit: number; after?: string | undefined },
  ) => {
    if (kind === 'newest') return search.newest(paging);
    if (kind === 'number') return search.byNumber(value, paging);
    if (kind === 'beginning') return search.byPrefix(value, paging);
    if (kind === 'short') return search.byShortForm(value, end, paging);
    return search.byField[kind](value, paging);
  };

  return async (
    typed: string,
    { limit, cursor }: { limit: number; cursor?: string | undefined },
  ): Promise<OrderList> => {
    const candidates = recognise(typed);
    const ready = candidates.some(({ kind }) => !numbers.includes(kind)) ? await readyFields() : new Set();
    const isReady = ({ kind }: Candidate) => numbers.includes(kind) || ready.has(kind as SearchField);
    const unsearched = candidates.filter((one) => !isReady(one)).map(({ kind }) => kind as SearchField);
    const { from, after } = cursor === undefined ? {} : splitCursor(cursor);
    const searched = candidates.filter((one) => isReady(one) && (from === undefined || one.kind === from));
    for (const candidate of searched) {
      const { orders, next } = await run(candidate, { limit, after });
      if (orders.length > 0)
        return {
          orders,
          next: next === undefined ? undefined : `${candidate.kind}~${next}`,
          kind: candidate.kind,
          unsearched,
        };
    }
    return { orders: [], next: undefined, kind: (searched[0] ?? candidates[0])?.kind, unsearched };
  };
};
