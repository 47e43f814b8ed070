import { consoleWords } from '../../views/console/text.ts';
import type { ConsoleView } from '../../views/console/view.ts';
import { pageHeaders, respondHtml } from '../http/html.ts';
import { pathOf, queryOf } from '../http/request-url.ts';
import { viewFor as visitorView } from '../page/view.ts';

/** The path and query of a request. Not `new URL(request.url)`: the host may be invalid. */
export const urlOf = (request: Request): URL =>
  new URL(`http://localhost${pathOf(request.url)}${queryOf(request.url)}`);

/** The last segment of a page's path, and its query: an address that links on the page start from. */
export const pageAddress = (request: Request): string => {
  const path = pathOf(request.url);
  return path.slice(path.lastIndexOf('/') + 1) + queryOf(request.url);
};

/** What a page for this operator depends on. */
export const viewFor = (request: Request, operator: string | undefined): ConsoleView => {
  const view = visitorView(request);
  return { ...view, words: consoleWords[view.language], operator, address: pageAddress(request) };
};

export const respondPage = (
  request: Request,
  view: ConsoleView,
  html: JSX.Element,
  status = 200,
  headers: Record<string, string> = {},
): Response =>
  respondHtml(request, html, status, { ...pageHeaders, 'content-language': view.language, ...headers });
