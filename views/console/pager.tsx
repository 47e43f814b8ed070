import { Html, type PropsWithChildren } from '@elysiajs/html';
import { literal } from '../view.ts';
import { type ConsoleView, pageLink } from './view.ts';

type PagerProps = PropsWithChildren<{
  view: ConsoleView;
  page: string;
  query: Record<string, string>;
  /** The page is not the first. */
  isLater: boolean;
  /** Where the next page starts; without it this is the last one. */
  next: string | null | undefined;
}>;

/** Links to the first page of a list and to the next. */
export const Pager = ({ view: { words }, page, query, isLater, next, children }: PagerProps) => (
  <nav class="pages" aria-label={words.nextPage}>
    {isLater ? (
      <a href={literal(pageLink(page, query))} safe>
        {words.firstPage}
      </a>
    ) : null}
    {next ? (
      <a href={literal(pageLink(page, { ...query, cursor: next }))} rel="next" safe>
        {words.nextPage}
      </a>
    ) : null}
    {children as 'safe'}
  </nav>
);
