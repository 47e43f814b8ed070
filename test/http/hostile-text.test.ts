/**
 * Every regular expression and parser that reads text from outside, with the text that takes it longest, of the greatest length that
 * can be received. Each blocks the event loop, so none may take 5 ms.
 */
import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import { hostNames, integer, kafkaName, share, token } from '../../src/config/values.ts';
import { filterOptions, matches } from '../../src/dead-letters/filter.ts';
import { readCommand } from '../../src/dead-letters/options.ts';
import { isLoopback, parseAddress } from '../../src/http/address.ts';
import { createApp } from '../../src/http/app.ts';
import { acceptsGzip } from '../../src/http/asset.ts';
import { createClientOf } from '../../src/http/client.ts';
import { createFailure } from '../../src/http/failure.ts';
import { isSecure } from '../../src/http/forwarded.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { requestIdFrom } from '../../src/http/request-id.ts';
import { createRouteOf, orderPath } from '../../src/http/request-url.ts';
import { createMetricsRoute } from '../../src/http/routes/metrics.ts';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { errorText } from '../../src/observability/error-text.ts';
import { toInstant } from '../../src/order/instant.ts';
import { isOrderUid } from '../../src/order/order.ts';
import { createFind } from '../../src/page/find.ts';
import { readPreferences } from '../../src/page/preferences.ts';
import { createFormat } from '../../views/format.ts';
import { preferredLanguage } from '../../views/language.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent } from '../support/database.ts';
import { openApp, path, unavailable } from '../support/open-app.ts';
import { parseOrder } from '../support/order-parser.ts';

// Thousands of texts, each repeated until one run was quick.
setDefaultTimeout(120_000);

/** In bytes: the limits of a request's head in Bun, and of a message in Kafka. */
const head = 16_000;
const message = 1_000_000;
const mostMs = 5;

/** Makes a text of at most `length` UTF-16 units. */
type Shape = (length: number) => string;

/** Repeats `part` between a start and an end. */
const fill =
  (part: string, start = '', end = ''): Shape =>
  (length) =>
    start + part.repeat(Math.max(0, Math.floor((length - start.length - end.length) / part.length))) + end;

/**
 * Takes the quickest of several runs, in ms, as the others may have been interrupted. Each has a text of its own, as JavaScriptCore
 * caches recent results.
 */
const expectQuick = async (shape: Shape, length: number, run: (text: string) => unknown) => {
  const step = length > 1_000 ? 20 : 1;
  let least = Number.POSITIVE_INFINITY;
  for (let times = 0; times < 40 && least > mostMs / 2; times++) {
    const text = shape(length - times * step);
    const begun = performance.now();
    await run(text);
    least = Math.min(least, performance.now() - begun);
  }
  const seen = JSON.stringify(shape(24));
  expect([seen, length, least < mostMs ? 'quick' : `${least} ms`]).toEqual([seen, length, 'quick']);
};

/** Runs that a regular expression may scan again from each position, ended by a character that does not match. */
const runs = [
  'a',
  ' ',
  '\t',
  '+',
  '0',
  '9',
  '"',
  '.',
  ':',
  '-',
  ',',
  ';',
  '=',
  '%',
  'é',
  '\u200b',
  '\ud83d\ude9a',
  ' ;',
  ', ',
  'a,',
  ';q=0.',
  'gzip ',
  'gzip;q=0',
  'W/"x",',
  '::',
  '1:',
  '.1',
  'a.',
  'a-',
  ', is ',
];
const shapes = runs.flatMap((run) => [
  fill(run),
  fill(run, 'a', 'b'),
  fill(run, ' ', '\0'),
  fill(run, '"', '!'),
]);
/** Those that a header can contain. */
const headerShapes = shapes.filter((shape) => !/[^\t\x20-\x7e]/.test(shape(24)));

describe('no text of a request blocks the event loop', () => {
  const asked = (headers: Record<string, string>) => new Request('http://localhost/', { headers });
  const ask = openApp();
  const none = () => undefined;
  const checkHost = createHostCheck({ names: ['a.example', '*.b.example'], loopbackOnly: true });
  const metrics = createApp({
    routes: [createMetricsRoute({ read: async () => '', token: 'a-token-of-16-characters' })],
    checkHost,
    trustedProxies: 0,
    log: silent,
  });
  const readMetrics = (authorization: string, client: string) =>
    metrics.fetch(new Request('http://localhost/metrics', { headers: { authorization } }), () => client);
  const find = createFind(unavailable);
  const routeOf = createRouteOf(new Set(['/', orderPath]));
  const fromHeader: [string, (text: string) => unknown][] = [
    ['Accept-Language', (text) => preferredLanguage(text)],
    ['Accept-Encoding', (text) => acceptsGzip(asked({ 'accept-encoding': text }))],
    ['Cookie', (text) => readPreferences(asked({ cookie: text }))],
    ['X-Request-Id', (text) => requestIdFrom(new Headers({ 'x-request-id': text }))],
    ['X-Forwarded-For', (text) => createClientOf(3)(asked({ 'x-forwarded-for': text }), none)],
    ['X-Forwarded-Proto', (text) => isSecure(asked({ 'x-forwarded-proto': text }), 3)],
    ['Host', (text) => checkHost(asked({ host: text }), false)],
    ['Authorization', (text) => readMetrics(`Bearer ${text}`, text.slice(0, 5))],
    ['If-None-Match', (text) => ask.get(path, { headers: { 'if-none-match': text } })],
    [
      'HX-Current-URL',
      (text) =>
        ask.get('/', {
          headers: { 'hx-request-type': 'partial', 'hx-current-url': `http://x/?uid=${text}` },
        }),
    ],
    ['traceparent', (text) => ask.get(path, { headers: { traceparent: text, tracestate: text } })],
  ];
  test.each(fromHeader)('%s', async (_, run) => {
    for (const shape of headerShapes) await expectQuick(shape, head, run);
  });

  test('many cookies, entity tags and addresses', async () => {
    const { get } = openApp();
    const etag = (await get(path)).headers.get('etag') ?? '';
    const lists: [string, Shape][] = [
      ['cookie', fill('a=b; ')],
      ['cookie', fill('zone=%41; ')],
      ['cookie', fill('lang=ru; ')],
      ['if-none-match', fill(`${etag}x, `)],
      ['if-none-match', fill(`x${etag}`)],
      ['if-none-match', fill('"a", ', '', etag)],
      ['x-forwarded-for', fill('10.0.0.1, ')],
    ];
    for (const [name, shape] of lists)
      for (const target of [path, '/'])
        await expectQuick(shape, head, (text) => get(target, { headers: { [name]: text } }));
    const long = { 'if-none-match': fill('"a", ', '', etag)(head) };
    expect((await get(path, { headers: long })).status).toBe(304);
  });

  const fromTarget: [string, (text: string) => unknown][] = [
    ['the order number in a path', (text) => isOrderUid(text)],
    ['the text around an order number', (text) => find([text])],
    ['an address', (text) => [parseAddress(text), isLoopback(text)]],
    ['a route', (text) => routeOf(`http://localhost/${text}`)],
    ['a time zone', (text) => createFormat('ru').time(new Date(0), undefined) + text],
  ];
  test.each(fromTarget)('%s', async (_, run) => {
    for (const shape of shapes) await expectQuick(shape, head, run);
  });

  test('a whole request, whatever its target', async () => {
    const { get } = openApp();
    const written = (shape: Shape) => (length: number) =>
      shape(length)
        .replaceAll(/[^\x21-\x7e]/gu, (character) => encodeURIComponent(character.toWellFormed()))
        .slice(0, length);
    const more = [
      fill('%20'),
      fill('%2B', 'a', 'b'),
      fill('&a=b'),
      fill('&uid=aaaaaaaaaaaa'),
      fill('%F0%9F%9A%9A'),
      fill('%zz'),
    ];
    for (const shape of [...shapes.map(written), ...more])
      for (const start of ['/?uid=', '/?', '/order/', '/', '/?lang='])
        await expectQuick(shape, head, (text) => get(start + text));
  });

  test('an error that quotes it, when it is logged', async () => {
    const failed = createFailure(silent);
    for (const shape of [...shapes, fill('\n'), fill('\n '), fill(' at x\n'), fill('\n at')])
      await expectQuick(shape, head, (text) => failed(asked({}), new Error(text)));
  });
});

describe('no text of a message, an error or a command line blocks the event loop', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const order = buildOrder();
  const place: [string, (text: string) => unknown][] = [
    ['order_uid', (text) => ({ ...order, order_uid: text })],
    ['track_number', (text) => ({ ...order, track_number: text })],
    ['date_created', (text) => ({ ...order, date_created: text })],
    ['delivery.phone', (text) => ({ ...order, delivery: { ...order.delivery, phone: text } })],
    ['delivery.email', (text) => ({ ...order, delivery: { ...order.delivery, email: text } })],
    [
      'items.0.track_number',
      (text) => ({ ...order, items: order.items.map((item) => ({ ...item, track_number: text })) }),
    ],
  ];
  const beginnings = ['', '+1', 'A', 'a@', 'a@a.', '2026-01-01T00:00:00.', '2026-01-01T00:00:00'];

  test.each(place)('%s of an order', async (_, write) => {
    const parts = ['a', '0', '-', 'a-', 'a.', '.', '@', 'é'];
    const values = beginnings.flatMap((start) =>
      parts.flatMap((part) => [fill(part, start), fill(part, start, '!')]),
    );
    for (const length of [40, 98, 200, 5_000, 20_000])
      for (const shape of values)
        await expectQuick(shape, length, (text) => parseOrder(bytes(JSON.stringify(write(text)))));
  });

  const readers: [string, (text: string) => unknown][] = [
    ['an instant', (text) => toInstant(text)],
    ['an instant with decimals', (text) => toInstant(`2026-01-01T00:00:00.${text}`)],
    ['a reason', (text) => reasonOf(Object.assign(new Error(text), { code: text, name: 'ReplyError' }))],
    ['an error on one line', (text) => errorText(new Error(text))],
    ['an option with a number', (text) => integer(1).read(text)],
    ['--since', (text) => filterOptions.since.read(text)],
    [
      '--reason',
      (text) =>
        matches(
          {
            partition: 0,
            offset: '0',
            stage: 'parse',
            error: 'E',
            reason: text,
            time: 0,
            key: null,
            value: null,
          },
          { reason: `${text.slice(0, 200)}!` },
        ),
    ],
    ['a name of Kafka', (text) => kafkaName.read(text)],
    ['a token', (text) => token.read(text)],
    ['a share', (text) => share.read(text)],
    ['names of hosts', (text) => hostNames.read(text)],
    [
      'PARTITION/OFFSET',
      (text) => {
        try {
          readCommand(['show', text]);
        } catch {}
      },
    ],
  ];
  test.each(readers)('%s', async (_, read) => {
    for (const shape of shapes) await expectQuick(shape, 10_000, read);
  });

  test('a date of a megabyte is rejected at once', async () => {
    for (const shape of shapes)
      await expectQuick(shape, message, (text) => toInstant(`2026-01-01T00:00:00.${text}`));
  });
});
