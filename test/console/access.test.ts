import { expect, test } from 'bun:test';
import { createSessions } from '../../src/console/session.ts';
import { openApp } from '../support/open-app.ts';
import { anna, boris, cookieOf, openConsole } from '../support/open-console.ts';

const login = (token: string, next = '') => ({
  method: 'POST',
  body: new URLSearchParams({ token, next }),
  headers: { 'sec-fetch-site': 'same-origin' },
});

/** Every route of the console that the router has. */
const all = openConsole()
  .app.routes.filter(({ path }) => path.startsWith('/console'))
  .map(({ method, path }) => [method, path] as const);

/** These alone need no session. */
const open = ['GET /console', 'GET /console/login', 'POST /console/login', 'POST /console/logout'];
const guarded = all.filter(([method, path]) => !open.includes(`${method} ${path}`));

test('the console has pages and an API, and each operation of its document is among the routes', async () => {
  expect(guarded).toContainEqual(['GET', '/console/']);
  expect(guarded).toContainEqual(['GET', '/console/api/overview']);
  const { get } = openConsole({ docs: true });
  const { paths } = (await (await get('/swagger/json')).json()) as { paths: Record<string, object> };
  const documented = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => [method.toUpperCase(), path] as const),
  );
  expect(documented.length).toBeGreaterThan(5);
  for (const operation of documented) expect(guarded).toContainEqual(operation);
  const undocumented = guarded.filter(
    ([method, path]) =>
      path.startsWith('/console/api/') && !documented.some(([m, p]) => m === method && p === path),
  );
  expect(undocumented).toEqual([]);
});

test.each(all)('%s %s is refused under another host name, with a token and without', async (method, path) => {
  const { ask } = openConsole({ hosts: ['orders.example.org'] });
  const credentials = [{}, { authorization: `Bearer ${anna.token}` }];
  for (const headers of credentials)
    for (const host of ['rebound.example', 'orders.example.org.evil.example', 'a b']) {
      const response = await ask(path, { method, headers: { ...headers, host } });
      expect([host, response.status]).toEqual([host, host === 'a b' ? 400 : 421]);
      expect(response.headers.get('set-cookie')).toBeNull();
    }
});

test.each(guarded)(
  '%s %s is refused without a token, with a wrong one, and from another origin',
  async (method, path) => {
    const isApi = path.startsWith('/console/api/');
    const ask = async (headers: Record<string, string>) => {
      const { ask } = openConsole();
      const response = await ask(path, { method, headers });
      const type = isApi ? 'application/problem+json' : 'text/html; charset=utf-8';
      expect(response.headers.get('content-type')).toBe(type);
      expect(response.headers.get('cache-control')).toContain('no-store');
      return response.status;
    };
    const right = `Bearer ${anna.token}`;
    const { ask: open } = openConsole();
    const session = cookieOf(await open('/console/login', login(anna.token)));
    expect(session).not.toBe('');
    expect(await ask({})).toBe(401);
    expect(await ask({ authorization: 'Bearer' })).toBe(401);
    expect(await ask({ authorization: 'Bearer anna-has-another-token' })).toBe(401);
    expect(await ask({ authorization: `Basic ${btoa(`anna:${anna.token}`)}` })).toBe(401);
    const own = { 'sec-fetch-site': 'same-origin' };
    expect(await ask({ cookie: 'console=anna.99999999999.AAAA', ...own })).toBe(401);
    for (const credentials of [{ authorization: right }, { cookie: session }]) {
      expect(await ask({ ...credentials, 'sec-fetch-site': 'cross-site' })).toBe(403);
      expect(await ask({ ...credentials, 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' })).toBe(
        403,
      );
      expect(await ask({ ...credentials, origin: 'https://elsewhere.example' })).toBe(403);
      expect(await ask({ ...credentials, origin: 'null' })).toBe(403);
      expect(await ask({ ...credentials, origin: 'http://localhost:9999' })).toBe(403);
    }
    if (method !== 'GET') {
      expect(await ask({ cookie: session })).toBe(403);
      expect(
        await ask({ cookie: session, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }),
      ).toBe(403);
    }
  },
);

test.each(guarded)(
  '%s %s is a log line with the operator’s name, and without what was asked',
  async (method, path) => {
    const { ask, lines } = openConsole();
    await ask(`${path}?q=a%40b.example`, { method, headers: { authorization: `Bearer ${boris.token}` } });
    expect(lines.map(({ line }) => line)).toContainEqual({ operator: 'boris', method, path });
    expect(JSON.stringify(lines)).not.toContain('b.example');
  },
);

test('a token opens pages and the API, as its operator', async () => {
  const { get } = openConsole();
  const page = await get('/console/');
  expect(page.status).toBe(200);
  expect(await page.text()).toContain('anna');
  expect((await get('/console/api/overview')).status).toBe(200);
  expect(await (await get('/console/', {}, boris)).text()).toContain('boris');
});

test('a link from another page opens the login, as the cookie of a session does not come with it', async () => {
  const { ask } = openConsole();
  const response = await ask('/console/', {
    headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
  });
  expect(response.status).toBe(401);
  expect(await response.text()).toContain('name="token"');
});

test('without operators there is no console', async () => {
  const { get } = openApp();
  for (const path of ['/console', '/console/', '/console/login', '/console/api/overview'])
    expect((await get(path)).status).toBe(404);
  const document = await (await get('/swagger/json')).text();
  expect(document).not.toContain('console');
});

test('a login leads to the page that was asked for, with a session of 12 hours', async () => {
  const { ask, lines } = openConsole();
  const response = await ask('/console/login', login(` ${boris.token}\n`, 'orders?q=a'));
  expect(response.status).toBe(303);
  expect(response.headers.get('location')).toBe('./orders?q=a');
  expect(response.headers.get('set-cookie')).toMatch(
    /^console=[\w.-]+; Max-Age=43200; HttpOnly; SameSite=Strict$/,
  );
  const page = await ask('/console/', { headers: { cookie: cookieOf(response) } });
  expect(await page.text()).toContain('boris');
  expect(lines).toEqual([
    { level: 'info', line: { operator: 'boris', action: 'log in' }, message: expect.any(String) },
    {
      level: 'info',
      line: { operator: 'boris', method: 'GET', path: '/console/' },
      message: expect.any(String),
    },
  ]);
  expect(JSON.stringify(lines)).not.toContain(boris.token);
});

test.each([
  'https://elsewhere.example/',
  '//elsewhere.example',
  '..',
  '\\\\elsewhere',
  'javascript:alert(1)',
  'a#b',
])('a login does not lead to %s', async (next) => {
  const { ask } = openConsole();
  const response = await ask('/console/login', login(anna.token, next));
  expect(response.headers.get('location')).toBe('./');
});

test.each([
  [0, 'http', false],
  [1, 'https', true],
  [1, 'http', false],
])(
  'behind %d proxies, with X-Forwarded-Proto: %s, a session is for TLS only: %p',
  async (trustedProxies, proto, isSecure) => {
    const { ask } = openConsole({ trustedProxies });
    const { headers, ...init } = login(anna.token);
    const response = await ask('/console/login', {
      ...init,
      headers: { ...headers, 'x-forwarded-proto': proto },
    });
    expect(response.headers.get('set-cookie')?.includes('; Secure')).toBe(isSecure);
  },
);

test('a session holds on every replica, until its token is removed or changed, and for 12 hours', async () => {
  const cookie = cookieOf(await openConsole().ask('/console/login', login(anna.token)));
  const statusOf = async (operators: (typeof anna)[]) =>
    (await openConsole({ operators }).ask('/console/', { headers: { cookie } })).status;
  expect(await statusOf([boris, anna])).toBe(200);
  expect(await statusOf([boris])).toBe(401);
  expect(await statusOf([boris, { ...anna, token: 'anna-has-a-newer-token' }])).toBe(401);
  expect(
    await statusOf([
      { ...boris, name: 'anna' },
      { ...anna, name: 'boris' },
    ]),
  ).toBe(401);

  let time = Date.parse('2026-11-26T00:00:00Z');
  const sessions = createSessions([anna], () => time);
  const value = sessions.open(anna);
  time += 12 * 3_600_000 - 1_000;
  expect(sessions.read(value)).toEqual(anna);
  time += 1_000;
  expect(sessions.read(value)).toBe('expired');
  const [name, ends, signature] = value.split('.');
  expect(sessions.read(`${name}.${Number(ends) + 1}.${signature}`)).toBe('invalid');
  expect(sessions.read(`${value}.more`)).toBe('invalid');
});

test('a logout ends the session in the browser, and not from another origin', async () => {
  const { ask, lines } = openConsole();
  const cookie = cookieOf(await ask('/console/login', login(anna.token)));
  lines.length = 0;
  const from = (site: string) => ({ method: 'POST', headers: { cookie, 'sec-fetch-site': site } });
  const response = await ask('/console/logout', from('same-origin'));
  expect(response.headers.get('set-cookie')).toContain('console=; Max-Age=0');
  expect(lines.map(({ line }) => line)).toEqual([{ operator: 'anna', action: 'log out' }]);
  const refused = await ask('/console/logout', from('cross-site'));
  expect(refused.status).toBe(403);
  expect(refused.headers.get('set-cookie')).toBeNull();
});

const askFrom =
  (app: ReturnType<typeof openConsole>['app']) =>
  async (address: string, path: string, init: RequestInit = {}) =>
    app.fetch(
      new Request(`http://localhost/console/${path}`, {
        ...init,
        headers: { host: 'localhost', ...(init.headers as Record<string, string>) },
      }),
      () => address,
    );

const wrongBearer = { authorization: 'Bearer of-no-operator-at-all' };
const forged = { cookie: `console=anna.99999999999.${'A'.repeat(43)}` };
const right = { authorization: `Bearer ${anna.token}` };
const loginWith = (token: string) => ({ method: 'POST', body: `token=${token}` });

test('a client that has sent ten wrong tokens is refused for a while, with the right one too; sessions and others are not', async () => {
  const { app } = openConsole();
  const ask = askFrom(app);
  const session = { cookie: cookieOf(await ask('203.0.113.1', 'login', loginWith(anna.token))) };
  for (let n = 0; n < 8; n++)
    expect((await ask('203.0.113.1', '', { headers: wrongBearer })).status).toBe(401);
  for (let n = 0; n < 2; n++)
    expect((await ask('203.0.113.1', 'login', loginWith('wrong'))).status).toBe(401);
  const refused = await ask('203.0.113.1', '', { headers: right });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await ask('203.0.113.1', 'login', loginWith(anna.token))).status).toBe(429);
  expect((await ask('203.0.113.1', '', { headers: session })).status).toBe(200);
  expect((await ask('203.0.113.2', '', { headers: right })).status).toBe(200);
  // A page of another site cannot use up the attempts of its visitor.
  const elsewhere = { ...wrongBearer, origin: 'https://elsewhere.example' };
  for (let n = 0; n < 20; n++)
    expect((await ask('203.0.113.3', '', { headers: elsewhere })).status).toBe(403);
  expect((await ask('203.0.113.3', '', { headers: right })).status).toBe(200);
});

test('a client that has sent ten forged cookies is refused for a while, with a session too, and can log in', async () => {
  const { app } = openConsole();
  const ask = askFrom(app);
  const session = { cookie: cookieOf(await ask('203.0.113.1', 'login', loginWith(anna.token))) };
  for (let n = 0; n < 10; n++) {
    const response = await ask('203.0.113.1', '', { headers: forged });
    expect(response.status).toBe(401);
    // A void cookie is not sent again.
    expect(response.headers.get('set-cookie')).toContain('console=; Max-Age=0');
  }
  expect((await ask('203.0.113.1', '', { headers: session })).status).toBe(429);
  expect((await ask('203.0.113.1', 'login', loginWith(anna.token))).status).toBe(303);
  expect((await ask('203.0.113.2', '', { headers: session })).status).toBe(200);
});

test('a link of another site with a token is refused, and does not count; the link of the terminal works', async () => {
  const { app } = openConsole();
  const ask = askFrom(app);
  for (const site of ['cross-site', 'same-site'])
    for (const token of [...Array(10).fill('x'), anna.token]) {
      const headers = { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' };
      const response = await ask('203.0.113.1', `login?token=${token}`, { headers });
      expect([response.status, response.headers.get('set-cookie')]).toEqual([403, null]);
    }
  expect((await ask('203.0.113.1', '', { headers: right })).status).toBe(200);
  const own = [{}, { 'sec-fetch-site': 'none' }, { 'sec-fetch-site': 'same-origin' }];
  for (const headers of own as Record<string, string>[]) {
    const response = await ask('203.0.113.1', `login?token=${anna.token}`, { headers });
    expect([response.status, response.headers.get('location')]).toEqual([303, './']);
  }
});

const local = { ...anna, isLocal: true };

test.each([
  ['127.0.0.1', 'localhost:8081', {}, 303],
  ['::1', '[::1]:8081', {}, 303],
  ['::ffff:127.0.0.1', '127.0.0.1', {}, 303],
  ['192.0.2.7', 'localhost:8081', {}, 401],
  ['127.0.0.1', 'rebound.example:8081', {}, 401],
  ['127.0.0.1', 'localhost:8081', { 'x-forwarded-for': '192.0.2.7' }, 401],
  ['127.0.0.1', 'localhost:8081', { forwarded: 'for=192.0.2.7' }, 401],
  ['127.0.0.1', 'localhost:8081', { via: '1.1 proxy' }, 401],
  ['127.0.0.1', 'localhost:8081', { 'x-real-ip': '192.0.2.7' }, 401],
  ['127.0.0.1', 'localhost:8081', { 'x-forwarded-host': 'orders.example.org' }, 401],
  ['127.0.0.1', 'localhost:8081', { 'x-forwarded-proto': 'https' }, 401],
  [undefined, 'localhost:8081', {}, 401],
] as const)(
  'the token of the banner, from %s to %s with %j, is answered %d',
  async (address, host, more, status) => {
    const { ask } = openConsole({ operators: [local], ...(address && { address }) });
    const response = await ask(`/console/login?token=${local.token}`, { headers: { host, ...more } });
    expect(response.status).toBe(status);
    if (status !== 303) return;
    const headers = { cookie: cookieOf(response), host };
    expect((await ask('/console/', { headers })).status).toBe(200);
    expect((await ask('/console/', { headers: { ...headers, host: 'rebound.example' } })).status).toBe(401);
  },
);

test.each([
  ['', '/console'],
  ['/lookup', '/lookup/console'],
])('below %p the API ends a void session for all of %s, a page for its own path', async (basePath, path) => {
  const { ask } = openConsole({ basePath });
  const api = await ask('/console/api/overview', { headers: forged });
  expect(api.headers.get('set-cookie')).toBe(`console=; Max-Age=0; Path=${path}; HttpOnly; SameSite=Strict`);
  const page = await ask('/console/orders', { headers: forged });
  expect(page.headers.get('set-cookie')).toBe('console=; Max-Age=0; HttpOnly; SameSite=Strict');
});

test('behind a proxy that changes the Host, the origin of PUBLIC_URL is the own one', async () => {
  const headers = { authorization: `Bearer ${anna.token}`, origin: 'https://orders.example.org' };
  const options = { publicUrl: 'https://orders.example.org/lookup/' };
  expect((await openConsole(options).ask('/console/', { headers })).status).toBe(200);
  expect((await openConsole().ask('/console/', { headers })).status).toBe(403);
});

test('language and theme are kept for the console, and the page stays', async () => {
  const { get } = openConsole();
  const changed = await get('/console/?a=b&lang=ru');
  expect(changed.headers.get('location')).toBe('./?a=b');
  expect(changed.headers.get('set-cookie')).toContain('lang=ru');
  const page = await get('/console/', { cookie: 'lang=ru; theme=dark' });
  expect(page.headers.get('content-language')).toBe('ru');
  expect(await page.text()).toContain('data-theme="dark"');
});

test('the address without the slash leads to the one with it', async () => {
  const { ask } = openConsole();
  expect((await ask('/console')).headers.get('location')).toBe('console/');
});
