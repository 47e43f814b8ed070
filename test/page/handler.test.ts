import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { Elysia } from 'elysia';
import { Unavailable } from '../../src/lookup/order-query.ts';
import { createAssets, createPage } from '../../src/page/handler.tsx';
import { buildOrder } from '../support/build-order.ts';
import { createWorld } from '../support/site.ts';

const order = buildOrder();
const quoted = buildOrder({ order_uid: '"quoted-order"' });

const createSite = () => {
  const world = createWorld([order, quoted]);
  const app = createPage({ lookup: world.lookup, assets: createAssets(true) });
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    app.handle(new Request(`http://localhost${path}`, { headers, method }));
  return { ...world, app, get, world };
};

const part = { 'hx-request': 'true', 'hx-request-type': 'partial' };
const linkTo = (uid: string) => `/?uid=${encodeURIComponent(uid)}`;
/** As the page writes it, as it may be below a base path. */
const relative = (uid: string) => `.${linkTo(uid)}`;

test('htmx gets the part that changes, with its title and its address; other clients get the whole page', async () => {
  const { get } = createSite();
  const page = await get(linkTo(order.order_uid));
  expect(await page.text()).toStartWith('<!doctype html><html');
  expect(page.headers.get('hx-push-url')).toBeNull();

  const fragment = await get(linkTo(order.order_uid), part);
  const html = await fragment.text();
  expect(html).toStartWith(`<title>${order.order_uid}`);
  expect(html).toContain('data-state="found"');
  expect(html).not.toContain('<form');
  expect(fragment.headers.get('hx-push-url')).toBe(relative(order.order_uid));

  const restored = await get(linkTo(order.order_uid), { ...part, 'hx-request-type': 'full' });
  expect(await restored.text()).toStartWith('<!doctype html>');
  expect(page.headers.get('vary')).toContain('hx-request-type');
});

test('the email address of a link has a plain @, everything else that a URL needs is escaped', async () => {
  const email = 'ann+o%rders?@example.org';
  const { lookup } = createWorld([buildOrder({ delivery: { email } })]);
  const app = createPage({ lookup, assets: createAssets(true) });
  const html = await (await app.handle(new Request(`http://localhost${linkTo(order.order_uid)}`))).text();
  expect(html).toContain('href="mailto:ann%2Bo%25rders%3F@example.org"');
});

test('an order is compared with the last hit in another tier, which is named as such, in two digits', async () => {
  const { lookup } = createWorld([order]);
  const lastHitsMs = { memory: undefined as number | undefined, redis: 0.5, postgres: 439.94 };
  const app = createPage({
    lookup: { ...lookup, lastHitMs: (tier) => lastHitsMs[tier] },
    assets: createAssets(true),
  });
  const against = async (language: string) => {
    const headers = { cookie: `lang=${language}` };
    const answer = await app.handle(new Request(`http://localhost${linkTo(order.order_uid)}`, { headers }));
    return /<span class="against">([^<]*)/.exec(await answer.text())?.[1]?.replaceAll(/\s/g, ' ');
  };
  // From PostgreSQL, then from memory in 0.02 ms.
  expect(await against('en')).toBe('from memory next time');
  expect(await against('en')).toBe('PostgreSQL last took 440 ms, 22,000× as long');
  expect(await against('ru')).toBe('PostgreSQL в последний раз — 440 мс, в 22 000 раз дольше');
  lastHitsMs.postgres = 0.046;
  expect(await against('en')).toBe('PostgreSQL last took 0.046 ms, 2.3× as long');
  expect(await against('ru')).toBe('PostgreSQL в последний раз — 0,046 мс, в 2,3 раза дольше');

  const { lookup: cold } = createWorld([order]);
  const first = createPage({
    lookup: { ...cold, lastHitMs: (tier) => ({ memory: 0.03, redis: 0.5, postgres: 4 })[tier] },
    assets: createAssets(true),
  });
  const english = new Request(`http://localhost${linkTo(order.order_uid)}`, {
    headers: { cookie: 'lang=en' },
  });
  expect(await (await first.handle(english)).text()).toContain('>memory last took 0.03 ms<');
});

test('at an order’s address already, the address is replaced rather than pushed', async () => {
  const { get } = createSite();
  const path = linkTo(quoted.order_uid);
  const there = { ...part, 'hx-current-url': `http://localhost${path}` };
  expect((await get(path, there)).headers.get('hx-replace-url')).toBe(`.${path}`);
  expect((await get(linkTo(order.order_uid), there)).headers.get('hx-push-url')).toBe(
    relative(order.order_uid),
  );
  const broken = { ...part, 'hx-current-url': 'no address' };
  expect((await get(path, broken)).headers.get('hx-push-url')).toBe(`.${path}`);
});

test('each state has its status code, as a page and as a part', async () => {
  const { get, world } = createSite();
  const cases = [
    ['/', 200, 'empty'],
    [linkTo(order.order_uid), 200, 'found'],
    ['/?uid=no-such-order', 404, 'notFound'],
    ['/?uid=short', 400, 'malformed'],
    [`/?uid=${'x'.repeat(51)}`, 400, 'malformed'],
    ['/?uid=abcdefghij%00', 400, 'malformed'],
    [`/?uid=${'x'.repeat(10_000)}`, 400, 'malformed'],
  ] as const;
  for (const [path, status, state] of cases) {
    for (const headers of [{}, part]) {
      const answer = await get(path, headers);
      expect([path, answer.status]).toEqual([path, status]);
      expect(await answer.text()).toContain(`data-state="${state}"`);
      expect(answer.headers.get('cache-control')).toBe('private, no-store');
    }
  }
  // Two numbers, each as a page and as a part: the others cannot be an order's.
  expect(world.lookups).toBe(4);
  world.down = true;
  const unavailable = await get('/?uid=some-other-order');
  expect(unavailable.status).toBe(503);
  expect(unavailable.headers.get('retry-after')).toBe(`${new Unavailable().retryAfterSeconds}`);
  // Orders in memory are still found.
  expect((await get(linkTo(order.order_uid))).status).toBe(200);
});

test('an address with spaces or quotes around the number redirects to the one without', async () => {
  const { get } = createSite();
  for (const around of [` ${order.order_uid}`, `"${order.order_uid}"`, `«${order.order_uid}»\u00a0`]) {
    const answer = await get(linkTo(around));
    expect([answer.status, answer.headers.get('location')]).toEqual([303, relative(order.order_uid)]);
    expect((await get(linkTo(around), part)).headers.get('hx-push-url')).toBe(relative(order.order_uid));
  }
});

test('a number that begins with a quote is found unchanged', async () => {
  const { get } = createSite();
  expect((await get(linkTo(quoted.order_uid))).status).toBe(200);
});

test('an unexpected error is passed on to the app', async () => {
  const { lookup } = createWorld([]);
  const broken = { ...lookup, find: () => Promise.reject(new TypeError('a bug')) };
  const page = createPage({ lookup: broken, assets: createAssets(false) });
  const app = new Elysia().onError(({ error }) => new Response(`${error}`)).use(page);
  const answer = await app.handle(new Request('http://localhost/?uid=some-order-1'));
  expect(await answer.text()).toBe('TypeError: a bug');
});

test('the page is compressed for clients that accept gzip', async () => {
  const { get } = createSite();
  const plain = await (await get('/')).text();
  const answer = await get('/', { 'accept-encoding': 'gzip' });
  expect(answer.headers.get('content-encoding')).toBe('gzip');
  expect(answer.headers.get('vary')).toContain('accept-encoding');
  expect(Buffer.from(Bun.gunzipSync(await answer.arrayBuffer())).toString()).toBe(plain);
});

test('HEAD answers as GET does', async () => {
  const { get } = createSite();
  const answer = await get('/?uid=no-such-order', {}, 'HEAD');
  expect(answer.status).toBe(404);
  expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
});

test('the security headers are strict, and nothing is inline but the style sheet that they name', async () => {
  const { get } = createSite();
  for (const path of ['/', linkTo(order.order_uid), '/?uid=short', '/?lang=en']) {
    const answer = await get(path);
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:|data:/);
    const html = await answer.clone().text();
    const style = html.match(/<style>([^<]*)<\/style>/)?.[1] ?? '';
    const hash = new Bun.CryptoHasher('sha256').update(style).digest('base64');
    const isPage = answer.status !== 303;
    expect(policy).toContain(isPage ? `style-src 'self' 'sha256-${hash}';` : "style-src 'self';");
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    const found: string[] = [];
    const rewriter = new HTMLRewriter()
      .on('style, script:not([src]), [style], [hx-on]', {
        element: ({ tagName }) => void found.push(tagName),
      })
      .on('*', {
        element: ({ attributes }) => {
          for (const [name, value] of attributes)
            if (name.startsWith('on') || /^(javascript|data|https?):/.test(value))
              found.push(`${name}=${value}`);
        },
      });
    await rewriter.transform(answer).text();
    expect(found).toEqual(isPage ? ['style'] : []);
  }
});

const assetPaths = async (get: ReturnType<typeof createSite>['get']) => {
  const html = await (await get('/')).text();
  return [...html.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, path]) => `/${path}`);
};

test('the files of the page are immutable, under names that change with their content, and compressed for clients that accept gzip', async () => {
  const { get } = createSite();
  const paths = await assetPaths(get);
  expect(paths.length).toBe(2);
  for (const path of paths) {
    expect(path).toMatch(/^\/assets\/\w+-[0-9a-f]{12}\.(js|svg)$/);
    const plain = await get(path);
    const gzipped = await get(path, { 'accept-encoding': 'br, gzip;q=0.8' });
    expect(plain.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(gzipped.headers.get('content-encoding')).toBe('gzip');
    expect(plain.headers.get('vary')).toBe('accept-encoding');
    expect(Buffer.from(Bun.gunzipSync(await gzipped.arrayBuffer())).toString()).toBe(await plain.text());
    for (const refusal of ['gzip;q=0', 'identity', 'gzip; q=0.000'])
      expect((await get(path, { 'accept-encoding': refusal })).headers.get('content-encoding')).toBeNull();
  }
});

test('the live list’s script is served only where there is a live list', async () => {
  const { lookup } = createWorld([]);
  const app = createPage({ lookup, assets: createAssets(false) });
  const get = (path: string) => app.handle(new Request(`http://localhost${path}`));
  const [, script] = await assetPaths(get as never);
  expect(await (await get(script as string)).text()).not.toContain('#live');
  expect(await (await get('/')).text()).not.toContain('id="live"');
});

test('the language is the chosen one, otherwise the one that the browser prefers, otherwise Russian', async () => {
  const { get } = createSite();
  const cases = [
    [{}, 'ru'],
    [{ 'accept-language': 'en-US,en;q=0.9,ru;q=0.8' }, 'en'],
    [{ 'accept-language': 'en;q=0.5, ru;q=0.7' }, 'ru'],
    [{ 'accept-language': 'de, en;q=0.1' }, 'en'],
    [{ 'accept-language': 'de, *;q=0.1' }, 'ru'],
    [{ 'accept-language': 'en;q=0' }, 'ru'],
    [{ 'accept-language': 'ru;q=0' }, 'en'],
    [{ 'accept-language': 'de, ru;q=0, en;q=0' }, 'ru'],
    [{ 'accept-language': 'en', cookie: 'lang=ru', 'page-language': 'en' }, 'en'],
    [{ 'accept-language': 'en', 'page-language': 'x' }, 'en'],
    [{ 'accept-language': ';;q=x,,constructor,__proto__' }, 'ru'],
    [{ 'accept-language': 'en', cookie: 'a=b; lang=ru' }, 'ru'],
    [{ 'accept-language': 'en', cookie: 'lang=toString' }, 'en'],
    [{ 'accept-language': 'en', cookie: 'lang=%zz; =; ;' }, 'en'],
  ] as const;
  for (const [headers, language] of cases) {
    const answer = await get('/', headers);
    expect([headers, answer.headers.get('content-language')]).toEqual([headers, language]);
    expect(await answer.text()).toContain(`<html lang="${language}"`);
  }
});

test.each([
  [0, 'http', undefined, false],
  [0, 'https', undefined, true],
  [0, 'http', 'https', false],
  [1, 'http', 'https', true],
  [1, 'http', 'HTTPS', true],
  [1, 'http', 'http', false],
  [1, 'http', 'https, http', false],
  [2, 'http', 'https, http', true],
])(
  'behind %d proxies, over %s, with X-Forwarded-Proto: %s, a cookie is for TLS only: %p',
  async (trustedProxies, scheme, header, secure) => {
    const page = createPage({ lookup: createWorld([]).lookup, assets: createAssets(false), trustedProxies });
    const headers = header === undefined ? {} : { 'x-forwarded-proto': header };
    const answer = await page.handle(new Request(`${scheme}://localhost/?lang=en&theme=dark`, { headers }));
    const cookies = answer.headers.getSetCookie();
    expect(cookies).toHaveLength(2);
    for (const cookie of cookies) expect(cookie.endsWith('; Secure')).toBe(secure);
  },
);

test('a choice is saved in a cookie, and redirects to the address without it', async () => {
  const { get } = createSite();
  const answer = await get(`${linkTo(quoted.order_uid)}&lang=en&theme=dark`);
  expect(answer.status).toBe(303);
  expect(new URL(answer.headers.get('location') ?? '', 'http://localhost').searchParams.get('uid')).toBe(
    quoted.order_uid,
  );
  const cookies = answer.headers.getSetCookie();
  expect(cookies.map((cookie) => cookie.split(';')[0])).toEqual(['lang=en', 'theme=dark']);
  for (const cookie of cookies) {
    expect(cookie).toContain('SameSite=Lax');
    expect(cookie).not.toContain('Secure');
  }
  expect(await (await get('/', { cookie: 'theme=dark' })).text()).toContain('data-theme="dark"');
  for (const nonsense of ['/?lang=xx', '/?theme=%22%3E']) {
    const refused = await get(nonsense);
    expect([refused.status, refused.headers.getSetCookie()]).toEqual([303, []]);
  }
  expect(await (await get('/', { cookie: 'theme="><b>' })).text()).toMatch(/<html lang="ru" data-words=/);
});

test('times are in the zone of the cookie, and in UTC when it is not a zone', async () => {
  const { get } = createSite();
  const local = async (cookie: string) =>
    (await (await get(linkTo(order.order_uid), { cookie, 'accept-language': 'en' })).text()).match(
      /data-local>([^<]+)</,
    )?.[1];
  const inUtc = await local('');
  expect(inUtc).toEndWith(' UTC');
  expect(await local('zone=Mars/Phobos')).toBe(inUtc as string);
  expect(await local('zone=Asia/Vladivostok')).not.toContain('UTC');
});

test('the scripts contain no words of the page, the style sheets no colour outside the palette', () => {
  const read = (name: string) => readFileSync(new URL(`../../views/assets/${name}`, import.meta.url), 'utf8');
  for (const name of ['page.js', 'live.js']) {
    const code = read(name).replaceAll(/^\s*(\/\/|\/?\*).*$/gm, '');
    expect(code).not.toMatch(/[а-яё]|(textContent|title|ariaLabel) = ['"`]\w/i);
  }
  for (const name of ['lookup.css', 'order.css', 'items.css', 'live.css'])
    expect(read(name)).not.toMatch(/#[0-9a-f]{3,8}\b[^{]*;|rgb|hsl/i);
});

const english = { headers: { 'accept-language': 'en' } };

test('an order with a configured currency and a free item is shown', async () => {
  const gift = buildOrder({
    payment: { currency: 'USDT', amount: 1500, goods_total: 0, delivery_cost: 1500 },
    items: [{ sale: 100, total_price: 0 }],
    locale: 'zh-Hant',
  });
  const site = createPage({ lookup: createWorld([gift]).lookup, assets: createAssets(true) });
  const page = await site.handle(new Request(`http://localhost${linkTo(gift.order_uid)}`, english));
  expect(page.status).toBe(200);
  expect((await page.text()).includes('1,500 USDT')).toBe(true);
});

test('a time of payment in ms, or of the far future, is marked as implausible', async () => {
  for (const [payment_dt, isMarked] of [
    [1_637_907_727, false],
    [1_637_907_727_000, true],
    [Number.MAX_SAFE_INTEGER, true],
  ] as const) {
    const paid = buildOrder({ payment: { payment_dt } });
    const site = createPage({ lookup: createWorld([paid]).lookup, assets: createAssets(false) });
    const request = new Request(`http://localhost${linkTo(paid.order_uid)}`, english);
    const html = await (await site.handle(request)).text();
    const mark = `implausible time of payment: ${payment_dt} s`;
    expect(html.includes(mark), mark).toBe(isMarked);
    expect(html.includes('53873')).toBe(false);
  }
});
