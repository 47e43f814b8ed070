import { Html } from '@elysiajs/html';
import { Elysia } from 'elysia';
import htmx from 'htmx.org/dist/htmx.min.js' with { type: 'text' };
import adaptStyle from '../../views/assets/adapt.css' with { type: 'text' };
import baseStyle from '../../views/assets/base.css' with { type: 'text' };
import icon from '../../views/assets/icon.svg' with { type: 'text' };
import itemsStyle from '../../views/assets/items.css' with { type: 'text' };
import liveStyle from '../../views/assets/live.css' with { type: 'text' };
import liveScript from '../../views/assets/live.js' with { type: 'text' };
import liveStream from '../../views/assets/live-stream.js' with { type: 'text' };
import liveWorker from '../../views/assets/live-worker.js' with { type: 'text' };
import lookupStyle from '../../views/assets/lookup.css' with { type: 'text' };
import orderStyle from '../../views/assets/order.css' with { type: 'text' };
import pageScript from '../../views/assets/page.js' with { type: 'text' };
import { Fragment, Page } from '../../views/page.tsx';
import { toCsv, toTable } from '../../views/table.ts';
import { type Finding, linkTo, linkToAll, linkToFinding, type Row, type Shown } from '../../views/view.ts';
import { createAsset } from '../http/asset.ts';
import { isSecure } from '../http/forwarded.ts';
import { pageHeaders, respondHtml } from '../http/html.ts';
import { createInlineStyle } from '../http/inline-style.ts';
import { toProblem } from '../http/problem.ts';
import type { Charge, ToPage } from '../http/rate-limit.ts';
import { requestId } from '../http/request-id.ts';
import { queryOf } from '../http/request-url.ts';
import { unavailable } from '../http/routes/order.ts';
import { wrongCount } from '../http/routes/orders.ts';
import { noStoreHeaders, securityHeaders } from '../http/security-headers.ts';
import type { Lookup } from '../lookup/lookup.ts';
import { countNumbers, createFind } from './find.ts';
import { cutUid } from './pasted.ts';
import { redirectTo, savePreferences } from './preferences.ts';
import { viewFor } from './view.ts';

const statuses = {
  empty: 200,
  found: 200,
  several: 200,
  notFound: 404,
  shortened: 404,
  malformed: 400,
  tooMany: 400,
  unavailable: 503,
} as const;

/** The files that the page loads. `liveFeed`: with those of the live list. */
export const createAssets = (liveFeed: boolean) => {
  // One module: fewer requests, and nothing global.
  const scripts = liveFeed ? [htmx, pageScript, liveStream, liveScript] : [htmx, pageScript];
  return {
    script: createAsset('page.js', 'text/javascript', scripts.join('\n')),
    icon: createAsset('icon.svg', 'image/svg+xml', icon),
    ...(liveFeed && {
      liveWorker: createAsset('live.js', 'text/javascript', [liveStream, liveWorker].join('\n')),
    }),
  };
};

type Assets = ReturnType<typeof createAssets>;

type Options = { lookup: Lookup; assets: Assets; trustedProxies?: number; charge?: Charge };

/**
 * The page and its files. `GET /?uid=…` is the page with that order on it; htmx gets the part that changes. The app handles what
 * `lookup` throws, except `Unavailable`.
 */
export const createPage = ({ lookup, assets, trustedProxies = 0, charge = () => undefined }: Options) => {
  const parts = partsOf(assets);
  const find = createFind(lookup);

  const answer = async ({ request }: { request: Request }) => {
    // Only the query is parsed: the host may be invalid.
    const url = new URL(queryOf(request.url), 'http://localhost/');
    const redirect = savePreferences(url, isSecure(request, trustedProxies));
    if (redirect) return redirect;

    const given = url.searchParams.getAll('uid');
    const refused = charge(request, countNumbers(given));
    if (refused) return refused;
    const finding = await find(given);
    const address = linkToFinding(finding);
    const isPart = request.headers.get('hx-request-type') === 'partial';
    const isElsewhere =
      given.length > 0 && address !== linkToAll(given.map(cutUid)) && finding.state !== 'tooMany';
    if (!isPart && isElsewhere) return redirectTo(address);

    const view = viewFor(request);
    const headers: Record<string, string> = {
      ...styledHeaders,
      'content-language': view.language,
      ...(finding.state === 'unavailable' && { 'retry-after': `${finding.retryAfterSeconds}` }),
    };
    const status = statuses[finding.state];
    if (!isPart)
      return respondHtml(
        request,
        <Page view={view} finding={finding} assets={parts} liveWorker={assets.liveWorker?.link} />,
        status,
        headers,
      );
    headers[isAt(request, address) ? 'hx-replace-url' : 'hx-push-url'] = address;
    return respondHtml(request, <Fragment view={view} finding={finding} />, status, headers);
  };

  /** The list of several orders as a file. */
  const answerCsv = async ({ request }: { request: Request }) => {
    const parameters = new URLSearchParams(queryOf(request.url));
    const given = parameters.getAll('uid');
    const refused = charge(request, countNumbers(given));
    if (refused) return refused;
    const finding = await find(given);
    if (finding.state === 'unavailable')
      return toProblem(request, unavailable, { 'retry-after': `${finding.retryAfterSeconds}` });
    if (finding.state === 'tooMany') return toProblem(request, wrongCount(finding.count));
    const view = viewFor(request, parameters.get('lang'));
    const csv = toCsv(toTable(view, rowsOf(finding)), view.language === 'ru' ? ';' : ',');
    return new Response(csv, { headers: csvHeaders });
  };

  const app = new Elysia({ name: 'page' })
    .get('/', answer)
    .head('/', answer)
    .get('/orders.csv', answerCsv, { detail: { hide: true } });
  for (const { path, respond } of Object.values(assets)) app.get(path, ({ request }) => respond(request));
  return app;
};

/**
 * The page of a client that the rate limit refuses; undefined where the request is not for the whole page.
 */
export const createTooOftenPage = (assets: Assets): ToPage => {
  const parts = partsOf(assets);
  return (request, seconds) => {
    const url = URL.parse(request.url);
    const isPage = url?.pathname === '/' && request.headers.get('accept')?.includes('text/html');
    if (!isPage || request.headers.get('hx-request-type') === 'partial') return undefined;
    const given = url.searchParams.getAll('uid').join(' ').toWellFormed();
    const finding: Shown = {
      state: 'tooOften',
      given: given.length > maxShownLength ? '' : given,
      retryAfterSeconds: seconds,
    };
    const view = viewFor(request);
    return respondHtml(
      request,
      <Page view={view} finding={finding} assets={parts} liveWorker={assets.liveWorker?.link} />,
      429,
      {
        ...styledHeaders,
        'content-language': view.language,
        'retry-after': `${seconds}`,
        'x-request-id': requestId(request),
      },
    );
  };
};

/** In UTF-16 units: a hundred numbers are usually shorter. */
const maxShownLength = 5_000;

const partsOf = ({ script, icon }: Assets) => ({
  style: style.text,
  script: script.link,
  icon: icon.link,
});

const style = createInlineStyle(
  [baseStyle, lookupStyle, orderStyle, itemsStyle, liveStyle, adaptStyle].join('\n'),
);

const styledHeaders = { ...pageHeaders, ...securityHeaders({ style: [style.source] }) };

const rowsOf = (finding: Exclude<Finding, { state: 'unavailable' | 'tooMany' }>): readonly Row[] => {
  if (finding.state === 'several') return finding.rows;
  if (finding.state === 'empty') return [];
  if (finding.state === 'found') return [finding];
  return [{ state: finding.state === 'malformed' ? 'malformed' : 'notFound', given: finding.given }];
};

const csvHeaders = {
  ...noStoreHeaders,
  'content-type': 'text/csv; charset=utf-8',
  'content-disposition': 'attachment; filename="orders.csv"',
};

/** Whether the browser is at this address already: a repeated lookup adds nothing to its history. */
const isAt = (request: Request, address: string) => {
  const current = URL.parse(request.headers.get('hx-current-url') ?? '');
  const given = current?.searchParams.getAll('uid') ?? [];
  return current !== null && address === (given.length === 0 ? linkTo('') : linkToAll(given));
};
