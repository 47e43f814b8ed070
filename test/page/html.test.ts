import { expect, setDefaultTimeout } from 'bun:test';
import { buildOrder } from '../support/build-order.ts';
import { findings, test } from '../support/html-checker.ts';
import { serve } from '../support/site.ts';

// Java starts, and checks some thirty pages.
setDefaultTimeout(90_000);

const order = buildOrder({ date_created: '2021-11-26T06:22:19.123456Z' });
const wrong = buildOrder({
  order_uid: 'sums-do-not-add-up',
  payment: { amount: 1, payment_dt: 1_637_907_727_000 },
});
const hostile = buildOrder({
  order_uid: '"<b>&amp;\'`</b>\u202e x',
  delivery: { name: '<img src=x>&lt;"\'', address: '<!-- -->\u200b', email: '"a&b"@example.com' },
});
const [item] = order.items;
const long = buildOrder({
  order_uid: 'many-items-1',
  items: Array.from({ length: 60 }, () => item as object),
});

const to = (...uids: string[]) => `/?${new URLSearchParams(uids.map((uid) => ['uid', uid]))}`;
const paths = {
  empty: '/',
  order: to(order.order_uid),
  'sums that do not add up': to(wrong.order_uid),
  'hostile texts': to(hostile.order_uid),
  'many items': to(long.order_uid),
  'not found': to('no-such-order'),
  malformed: to('<short>'),
  shortened: to('b563…6test'),
  several: to(order.order_uid, 'no-such-order', '<short>', hostile.order_uid),
  'too many': to(...Array.from({ length: 101 }, (_, index) => `many-orders-${index}`)),
  API: '/swagger',
};

test('the Nu HTML checker finds nothing in any page, nor in the parts that htmx gets', async () => {
  const site = serve([order, wrong, hostile, long], { docs: true });
  const pages: Record<string, string> = {};
  const get = async (path: string, headers: Record<string, string>) =>
    (await fetch(site.origin + path, { headers })).text();
  try {
    for (const language of ['ru', 'en']) {
      const headers = { 'accept-language': language, cookie: language === 'ru' ? 'theme=dark' : '' };
      for (const [name, path] of Object.entries(paths)) {
        pages[`${name}, ${language}`] = await get(path, headers);
        if (path === '/swagger') continue;
        const part = await get(path, { ...headers, 'hx-request-type': 'partial' });
        // As it is in the page.
        const [title, body] = part.split('</title>');
        pages[`${name}, ${language}, part`] =
          `<!doctype html><html lang="${language}"><head>${title}</title></head><body><h1>-</h1>${body}</body></html>`;
      }
      site.down = true;
      pages[`unavailable, ${language}`] = await get(to('another-order'), headers);
      site.down = false;
    }
    expect(await findings(pages)).toEqual([]);
  } finally {
    await site.stop();
  }
});
