import { expect, setDefaultTimeout } from 'bun:test';
import { buildOrder } from '../support/build-order.ts';
import { type ConsoleSite, openConsoleSite } from '../support/console-site.ts';
import { findings, test } from '../support/html-checker.ts';
import { anna } from '../support/open-console.ts';

setDefaultTimeout(90_000);

const order = buildOrder({ order_uid: 'order-of-the-console' });
const hostile = `<img src=x>"'&lt;\u202eabc<!--`;

const openPages = (site: ConsoleSite) => {
  const pages: Record<string, string> = {};
  const authorization = `Bearer ${anna.token}`;
  const keep = async (name: string, response: Promise<Response>) => {
    const html = await (await response).text();
    expect(html).toStartWith('<!doctype html>');
    pages[name] = html;
    return html;
  };
  return {
    pages,
    get: (path: string) => keep(path, site.desk.ask(path, { headers: { authorization } })),
    submit: (name: string, path: string, fields: Record<string, string>) =>
      keep(name, site.desk.submit(path, fields)),
    keep,
  };
};

test('the Nu HTML checker finds nothing in any page of the console', async () => {
  await using site = await openConsoleSite();
  await site.send(
    { key: order.order_uid, value: JSON.stringify(order) },
    {
      key: hostile,
      value: JSON.stringify({ ...order, order_uid: hostile.padEnd(20, '.'), locale: hostile }),
    },
    { key: 'parse', value: '{' },
    { key: 'bytes', value: Buffer.from([0xff, 0xfe, 0]), headers: { [hostile]: hostile } },
  );
  const { pages, get, submit, keep } = openPages(site);
  await keep('login', site.desk.ask('/console/login?next=%2Fconsole%2F'));
  const wrong = new FormData();
  wrong.set('token', hostile);
  await keep('login, refused', site.desk.ask('/console/login', { method: 'POST', body: wrong }));
  for (const path of [
    '/console/',
    '/console/?window=24h',
    '/console/orders',
    `/console/orders?q=${order.order_uid}`,
    '/console/orders?q=nobody-has-this',
    `/console/orders?q=${encodeURIComponent(hostile)}`,
    '/console/orders?q=x&limit=x',
    '/console/dead-letters',
    '/console/dead-letters?state=all',
    `/console/dead-letters?reason=${encodeURIComponent(hostile)}`,
    '/console/dead-letters?since=never',
  ])
    await get(path);
  const ids = [...(pages['/console/dead-letters'] ?? '').matchAll(/letter\?id=([^"&]+)"/g)].map(
    ([, id]) => id,
  );
  expect(ids).toHaveLength(3);
  for (const id of ids) {
    const letter = `letter?id=${id}`;
    await get(`/console/${letter}`);
    const value = JSON.stringify({ ...order, locale: hostile });
    await submit(`${letter}, checked`, letter, { do: 'check', value });
    await submit(`${letter}, tried`, letter, { do: 'try' });
  }
  await get('/console/letter?id=no-such');
  await submit('nothing chosen', 'dead-letters', { do: 'discard' });
  await submit('a bad filter', 'dead-letters', { do: 'discard', scope: 'all', since: hostile });
  await submit('discarded', 'dead-letters', { do: 'discard', scope: 'all', stage: 'parse' });
  await get('/console/dead-letters?state=discarded');
  site.desk.pipeline.database.sql.end({ timeout: 0 });
  await get('/console/orders?q=unavailable-1');
  expect(await findings(pages)).toEqual([]);
});
