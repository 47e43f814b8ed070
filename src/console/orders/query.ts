import type { Invalid } from '../body.ts';
import { isCursor } from './find.ts';

const defaultLimit = 50;
export const maxLimit = 200;
export const maxQuery = 200;

export type Query = { q: string; limit: number; cursor: string | undefined };

/** What is asked for, or what is wrong with it as a sentence. */
export const readQuery = (query: URLSearchParams): Query | Invalid => {
  const q = query.get('q') ?? '';
  if ([...q].length > maxQuery || q.includes('\0'))
    return { invalid: `q is not allowed; allowed: up to ${maxQuery} characters, none of them NUL.` };
  const limit = Number(query.get('limit') ?? defaultLimit);
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit)
    return { invalid: `limit is not allowed; allowed: an integer from 1 to ${maxLimit}.` };
  const cursor = query.get('cursor') ?? undefined;
  if (cursor !== undefined && !isCursor(cursor))
    return { invalid: 'cursor is not allowed; allowed: the "next" of the page before.' };
  return { q, limit, cursor };
};
