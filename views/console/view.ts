import type { View } from '../view.ts';
import type { Words } from './text.ts';

/** What a page of the console depends on. */
export type ConsoleView = View & {
  words: Words;
  /** The operator's name; undefined before the login. */
  operator: string | undefined;
  /** The page's own address: its last segment and its query. */
  address: string;
};

/** A link to a page of the console, with a query of the values that are given. */
export const pageLink = (page: string, query: Record<string, string | undefined> = {}): string => {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const search = new URLSearchParams(given).toString();
  return `./${page}${search && `?${search}`}`;
};

/** The filter of dead letters as it was typed. */
export type LetterFilter = Record<'stage' | 'reason' | 'field' | 'since' | 'until' | 'uid' | 'state', string>;
