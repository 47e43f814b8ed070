import { describe, expect, test } from 'bun:test';
import type { Lookup } from '../../src/lookup/lookup.ts';
import { Unavailable } from '../../src/lookup/order-query.ts';
import { createAssets, createPage } from '../../src/page/handler.tsx';
import { splitNumbers, uidsOfLink } from '../../src/page/pasted.ts';
import { buildOrder } from '../support/build-order.ts';
import { createWorld } from '../support/site.ts';

const plain = buildOrder({ order_uid: 'b563feb7b2b84b6test' });
const second = buildOrder({ order_uid: 'second-order-1' });
const upper = buildOrder({ order_uid: 'UPPER-CASE-1' });
const mixed = buildOrder({ order_uid: 'Mixed-Case-1' });
const twins = ['twin-order-1', 'TWIN-ORDER-1'].map((order_uid) => buildOrder({ order_uid }));
const commas = buildOrder({ order_uid: 'second-order-1, b563feb7b2b84b6test' });
const link = buildOrder({ order_uid: 'http://a/order/second-order-1' });

const quoted = buildOrder({ order_uid: '"second-order-1"' });
const stopped = buildOrder({ order_uid: 'second-order-1.' });
const pasted = [plain, second, upper, mixed, ...twins, commas, link];

const open = (orders = pasted) => {
  const world = createWorld(orders);
  const app = createPage({ lookup: world.lookup, assets: createAssets(false) });
  const headers = { 'hx-request-type': 'partial', 'accept-language': 'en' };
  /** The state of what is shown, and its address. */
  const paste = async (...texts: string[]) => {
    const query = new URLSearchParams(texts.map((text) => ['uid', text]));
    const response = await app.handle(new Request(`http://localhost/?${query}`, { headers }));
    const html = await response.text();
    const address = decodeURIComponent(response.headers.get('hx-push-url') ?? '').slice('./?uid='.length);
    return [html.match(/data-state="(\w+)"/)?.[1], address.split('&uid=').join(' ')];
  };
  return { ...world, world, app, paste };
};

test.each([
  'http://localhost:8081/?uid=b563feb7b2b84b6test',
  'https://orders.example.org/lookup/?lang=ru&uid=b563feb7b2b84b6test&theme=dark',
  'https://orders.example.org/lookup/order/b563feb7b2b84b6test',
  'localhost:8081/order/b563feb7b2b84b6test/',
  ' «http://localhost/?uid=%20b563feb7b2b84b6test»\u200b',
  './?uid=b563feb7b2b84b6test#order',
])('a link is taken as its number: %s', async (text) => {
  expect(await open().paste(text)).toEqual(['found', plain.order_uid]);
});

test('a link to an order that does not exist shows the number in it', async () => {
  expect(await open().paste('http://localhost:8081/order/no-such-order')).toEqual([
    'notFound',
    'no-such-order',
  ]);
});

test.each(['http://localhost/', 'http://localhost/?uid=', '/order/', 'uid=abc', 'http://x/?uid=%zz'])(
  'no number is in %s',
  (text) => {
    expect(uidsOfLink(text)).toEqual([]);
  },
);

test('an order whose number looks like a link or a list is found unchanged', async () => {
  const { paste } = open();
  expect(await paste(link.order_uid)).toEqual(['found', link.order_uid]);
  expect(await paste(commas.order_uid)).toEqual(['found', commas.order_uid]);
});

test('a number in another letter case is found if one order alone has it', async () => {
  const { paste } = open();
  expect(await paste('B563FEB7B2B84B6TEST')).toEqual(['found', plain.order_uid]);
  expect(await paste('upper-case-1')).toEqual(['found', upper.order_uid]);
  expect(await paste('Twin-Order-1')).toEqual(['notFound', 'Twin-Order-1']);
  expect(await paste('TWIN-ORDER-1')).toEqual(['found', 'TWIN-ORDER-1']);
  expect(await paste(mixed.order_uid)).toEqual(['found', mixed.order_uid]);
  expect(await paste('mIXED-case-1')).toEqual(['found', mixed.order_uid]);
  expect(await paste('заказ MIXED-CASE-1,')).toEqual(['found', mixed.order_uid]);
  expect(await paste('MIXED-CASE-1 Twin-Order-1 UPPER-case-1')).toEqual([
    'several',
    'Mixed-Case-1 Twin-Order-1 UPPER-CASE-1',
  ]);
});

test('other letter cases cost nothing where the number is found as it is, or has no letters', async () => {
  const world = createWorld([mixed]);
  const asked: (readonly string[])[] = [];
  const lookup: Lookup = {
    ...world.lookup,
    findOtherCases(uids) {
      asked.push(uids);
      return world.lookup.findOtherCases(uids);
    },
  };
  const app = createPage({ lookup, assets: createAssets(false) });
  const get = (query: string) => app.handle(new Request(`http://localhost/?${query}`));
  await get(`uid=${mixed.order_uid}`);
  await get('uid=0123456789');
  await get('uid=short');
  expect(asked).toEqual([]);
  await get(`uid=${mixed.order_uid}&uid=other-order-1&uid=0123456789&uid=other-order-2`);
  expect(asked).toEqual([['other-order-1', 'other-order-2']]);
});

test('while the database does not answer, a number in another letter case is not called missing', async () => {
  const world = createWorld([mixed]);
  const lookup: Lookup = {
    ...world.lookup,
    // As after a lookup a moment ago.
    find: async () => ({ document: undefined, steps: [] }),
    findOtherCases: () => Promise.reject(new Unavailable('down')),
  };
  const app = createPage({ lookup, assets: createAssets(false) });
  expect((await app.handle(new Request('http://localhost/?uid=MIXED-CASE-1'))).status).toBe(503);
});

test.each([
  [' b563feb7b2b84b6test', 'found', plain.order_uid],
  ['"b563feb7b2b84b6test"', 'found', plain.order_uid],
  ['http://localhost/?uid=b563feb7b2b84b6test', 'found', plain.order_uid],
  ['Order b563feb7b2b84b6test', 'found', plain.order_uid],
  ['second-order-1\nb563feb7b2b84b6test', 'several', 'second-order-1 b563feb7b2b84b6test'],
  ['second-order-1 other-order-1', 'several', 'second-order-1 other-order-1'],
  ['other-order-1 other-order-2', 'unavailable', 'other-order-1 other-order-2'],
  ['Order other-order-1', 'unavailable', 'Order other-order-1'],
])('while the database does not answer, a cached order is found in %j', async (text, state, address) => {
  const { paste, lookup, world } = open();
  await lookup.findAll([plain.order_uid, second.order_uid]);
  world.down = true;
  expect(await paste(text)).toEqual([state, address]);
});

test.each(['b563…6test', 'b563...6test', '8e3d…3afd4', '“b563…6test”'])(
  'a number that the page has shortened is recognised: %s',
  async (text) => {
    const { paste } = open();
    expect((await paste(text))[0]).toBe('shortened');
    expect((await paste('no…', 'b563feb7b2b84b6test'))[0]).toBe('several');
  },
);

test.each([
  'заказ № b563feb7b2b84b6test,',
  'My order is b563feb7b2b84b6test.',
  'Where is b563feb7b2b84b6test?',
  'Order (b563feb7b2b84b6test) is late!',
  '<b563feb7b2b84b6test>',
  '«b563feb7b2b84b6test».',
  'order #b563feb7b2b84b6test: late',
  'Заказ №b563feb7b2b84b6test',
  'заказ [B563FEB7B2B84B6TEST]',
  'Здравствуйте, мой заказ b563feb7b2b84b6test не пришёл. Подскажите, пожалуйста!',
  'Order b563feb7b2b84b6test, phone +79773217491, name@example.org',
  'b563feb7b2b84b6test +79773217491',
  'http://localhost:8081/?uid=b563feb7b2b84b6test.',
  'My order: <http://localhost:8081/order/b563feb7b2b84b6test>, thank you very much.',
])('the number in a sentence is found: %s', async (text) => {
  expect(await open().paste(text)).toEqual(['found', plain.order_uid]);
});

test('of a sentence with several numbers, the numbers are listed', async () => {
  const text = 'Здравствуйте! Мои заказы b563feb7b2b84b6test, (second-order-1) и 0123456789 не пришли.';
  expect(await open().paste(text)).toEqual(['several', 'b563feb7b2b84b6test second-order-1 0123456789']);
});

test('a sentence without a known number shows what was searched', async () => {
  const { paste } = open();
  const sentence = 'Здравствуйте, мой заказ 0123456789 не пришёл. Подскажите, пожалуйста!';
  expect(await paste(sentence)).toEqual(['notFound', '0123456789']);
  expect((await paste(sentence.replace('0123456789 ', '')))[0]).toBe('malformed');
  expect(await paste('Order 0123456789')).toEqual(['notFound', 'Order 0123456789']);
  expect(await paste(`${'n'.repeat(50)}.`)).toEqual(['notFound', 'n'.repeat(50)]);
});

test('a number with quotes or punctuation of its own is found before the one without', async () => {
  const { paste } = open([...pasted, quoted, stopped]);
  for (const { order_uid } of [quoted, stopped]) expect(await paste(order_uid)).toEqual(['found', order_uid]);
  const both = `${quoted.order_uid} second-order-1 ${stopped.order_uid}`;
  expect(await paste(quoted.order_uid, 'second-order-1', stopped.order_uid)).toEqual(['several', both]);
  expect(await paste(both)).toEqual(['several', both]);
  expect(await open().paste('"second-order-1"', ' b563feb7b2b84b6test')).toEqual([
    'several',
    'second-order-1 b563feb7b2b84b6test',
  ]);
});

describe('several numbers', () => {
  const both = 'b563feb7b2b84b6test second-order-1';
  test.each([
    'b563feb7b2b84b6test\nsecond-order-1',
    'b563feb7b2b84b6test\r\n\r\nsecond-order-1\r\n',
    '"b563feb7b2b84b6test","second-order-1"',
    'b563feb7b2b84b6test\tsecond-order-1;b563feb7b2b84b6test',
    'http://localhost/?uid=b563feb7b2b84b6test http://localhost/order/second-order-1',
    'http://localhost/?uid=b563feb7b2b84b6test&uid=second-order-1',
    'See http://localhost/?lang=en&uid=b563feb7b2b84b6test&uid=second-order-1#order, please',
  ])('are found as a list with an address of its own: %j', async (text) => {
    expect(await open().paste(text)).toEqual(['several', both]);
  });

  test('are in the order given, each one once, with those that are not found and those that are none', async () => {
    const { app } = open();
    const texts = ['no-such-order', 'UPPER-CASE-1', 'short', 'SECOND-ORDER-1', 'UPPER-CASE-1'];
    const query = new URLSearchParams(texts.map((text) => ['uid', text]));
    const headers = { 'accept-language': 'en', 'hx-request-type': 'partial' };
    const response = await app.handle(new Request(`http://localhost/?${query}`, { headers }));
    expect(response.status).toBe(200);
    const html = await response.text();
    expect(html).toStartWith('<title>Found 2 of 4');
    const links = [...html.matchAll(/<li><a href="([^"]+)"/g)].map(([, href]) => href);
    expect(links).toEqual([
      './?uid=no-such-order',
      './?uid=UPPER-CASE-1',
      './?uid=short',
      './?uid=second-order-1',
    ]);
    expect(html).toContain('not found');
    expect(html).toContain('not an order number');
  });

  test('of a link are listed with those that are none', async () => {
    const address = 'http://localhost/?uid=b563feb7b2b84b6test&uid=no-such-order&uid=short';
    expect(await open().paste(address)).toEqual(['several', 'b563feb7b2b84b6test no-such-order short']);
  });

  test('are redirected to their address, once', async () => {
    const { app } = open();
    const get = (path: string) => app.handle(new Request(`http://localhost${path}`));
    const response = await get(`/?uid=${encodeURIComponent('b563feb7b2b84b6test\r\nSECOND-ORDER-1')}`);
    expect(response.status).toBe(303);
    const location = response.headers.get('location') ?? '';
    expect(location).toBe('./?uid=b563feb7b2b84b6test&uid=second-order-1');
    expect((await get(location.slice(1))).status).toBe(200);
  });

  test('beyond a hundred are refused, with how many there were', async () => {
    const { app, paste } = open();
    const many = Array.from({ length: 101 }, (_, index) => `many-orders-${index}`);
    expect((await paste(many.slice(1).join('\n')))[0]).toBe('several');
    expect((await paste(many.join('\n')))[0]).toBe('tooMany');
    const query = new URLSearchParams(many.map((text) => ['uid', text]));
    const response = await app.handle(new Request(`http://localhost/?${query}`));
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('101');
  });

  test('while the database does not answer, those in memory are shown, and the others are not called missing', async () => {
    const down = createWorld([plain]);
    await down.lookup.find(plain.order_uid);
    down.down = true;
    const app = createPage({ lookup: down.lookup, assets: createAssets(false) });
    const headers = { 'accept-language': 'en' };
    const response = await app.handle(
      new Request(`http://localhost/?uid=${plain.order_uid}&uid=no-such-order`, { headers }),
    );
    const html = await response.text();
    expect(html).toContain('Found 1 of 2');
    expect(html).toContain('temporarily unavailable');
    expect(html).toContain('data-retry');
    expect(html).not.toContain('not found');
  });

  test('are a file for spreadsheets, in which no text is a formula, and no personal data', async () => {
    const formula = buildOrder({ order_uid: '=HYPERLINK("http://x","y")', track_number: 'WBILMTESTTRACK' });
    const app = createPage({ lookup: createWorld([formula, plain]).lookup, assets: createAssets(false) });
    const query = new URLSearchParams(
      [formula.order_uid, plain.order_uid, 'no-such-order'].map((uid) => ['uid', uid]),
    );
    const get = async (language: string) =>
      app.handle(
        new Request(`http://localhost/orders.csv?${query}`, { headers: { 'accept-language': language } }),
      );
    const response = await get('en');
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(response.headers.get('content-disposition')).toContain('attachment');
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect([...bytes.slice(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);
    const lines = new TextDecoder().decode(bytes).split('\r\n');
    expect(lines[0]).toBe('order number,result,placed,track,items,total,currency,status');
    expect(lines[1]).toStartWith(`"'=HYPERLINK(""http://x"",""y"")",found,`);
    expect(lines[3]).toBe('no-such-order,not found,,,,,,');
    expect(lines).toHaveLength(5);
    for (const text of Object.values(plain.delivery)) expect(lines.join()).not.toContain(text);
    expect(await (await get('ru')).text()).toContain('не найден;;');
  });

  test('are a file in the language of the page that links to it', async () => {
    const { app } = open();
    const get = async (path: string, headers: Record<string, string>) =>
      (await app.handle(new Request(`http://localhost/${path}`, { headers }))).text();
    const address = '?uid=b563feb7b2b84b6test&uid=second-order-1';
    for (const [language, other, head] of [
      ['en', 'ru', 'order number,'],
      ['ru', 'en', 'номер заказа;'],
    ] as const) {
      const page = await get(address, { cookie: `lang=${language}` });
      const href = page.match(/href="(orders\.csv[^"]*)"/)?.[1]?.replaceAll('&amp;', '&') ?? '';
      expect(await get(href, { cookie: `lang=${other}`, 'accept-language': other })).toContain(head);
    }
  });

  test('have the statuses of their items as a list, which no spreadsheet reads as one number', async () => {
    const { items } = plain;
    const [item] = items as [(typeof items)[number]];
    const order = { ...plain, items: [202, 400, 202].map((status) => ({ ...item, status })) };
    const { app } = open([order]);
    const get = async (language: string) =>
      (
        await app.handle(new Request(`http://localhost/orders.csv?uid=${order.order_uid}&lang=${language}`))
      ).text();
    for (const language of ['en', 'ru']) expect((await get(language)).trimEnd()).toEndWith('"202; 400"');
  });

  test('are no empty file: one number has its row, and what is not known or too much is an error', async () => {
    const { app, world } = open();
    const get = (query: string) => app.handle(new Request(`http://localhost/orders.csv?lang=en&${query}`));
    const rows = async (query: string) => (await (await get(query)).text()).split('\r\n').slice(1, -1);
    expect(await rows('uid=no-such-order')).toEqual(['no-such-order,not found,,,,,,']);
    expect(await rows('uid=short')).toEqual(['short,not an order number,,,,,,']);
    const many = Array.from({ length: 101 }, (_, index) => `uid=many-orders-${index}`).join('&');
    expect((await get(many)).status).toBe(400);
    world.down = true;
    const refused = await get('uid=b563feb7b2b84b6test');
    expect([refused.status, Number(refused.headers.get('retry-after')) > 0]).toEqual([503, true]);
    expect(await rows('uid=b563feb7b2b84b6test&uid=second-order-1')).toEqual([
      'b563feb7b2b84b6test,temporarily unavailable,,,,,,',
      'second-order-1,temporarily unavailable,,,,,,',
    ]);
  });
});

test('a long text without a number is split in linear time', () => {
  const begun = process.cpuUsage();
  splitNumbers('/order/'.repeat(4_000));
  splitNumbers('http://?uid'.repeat(3_000));
  expect(process.cpuUsage(begun).user / 1_000).toBeLessThan(200);
});
