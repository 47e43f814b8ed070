import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { parseAddress } from '../../src/http/address.ts';
import { createClientOf } from '../../src/http/client.ts';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import { openApp, path } from '../support/open-app.ts';

const minute = 60_000;

const openLimit = (perMinute: number) => {
  let time = 0;
  const limit = createRateLimit(perMinute, () => time);
  return { limit, pass: (ms: number) => (time += ms), time: () => time };
};

describe('the allowance', () => {
  test.each([1, 5, 7, 60, 6000, 1_000_000])(
    'of %d a minute may be used at once, and not one more',
    (perMinute) => {
      const { limit } = openLimit(perMinute);
      for (let request = 0; request < perMinute; request++) expect(limit.consume('a')).toBe(0);
      expect(limit.consume('a')).toBeCloseTo(minute / perMinute, 3);
      expect(limit.consume('b')).toBe(0);
    },
  );

  test('refills one by one, and a client that waits as long as Retry-After says gets through', () => {
    const { limit, pass } = openLimit(6);
    for (let request = 0; request < 6; request++) limit.consume('a');
    pass(limit.consume('a') - 1);
    expect(limit.consume('a')).toBeCloseTo(1);
    pass(1);
    expect(limit.consume('a')).toBe(0);
    expect(limit.consume('a')).toBeCloseTo(10_000);
    pass(minute);
    for (let request = 0; request < 6; request++) expect(limit.consume('a')).toBe(0);
    expect(limit.consume('a')).toBeGreaterThan(0);
  });

  test("is never more than twice the limit in any minute, and is each client's own", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 20_000 })), {
          maxLength: 300,
        }),
        (perMinute, requests) => {
          const { limit, pass, time } = openLimit(perMinute);
          const granted = new Map<string, number[]>();
          for (const [client, later] of requests) {
            pass(later);
            if (limit.consume(client) === 0) granted.set(client, [...(granted.get(client) ?? []), time()]);
          }
          for (const times of granted.values())
            for (const from of times)
              expect(times.filter((at) => at >= from && at < from + minute).length).toBeLessThanOrEqual(
                2 * perMinute,
              );
        },
      ),
    );
  });

  test('is forgotten when it is full, and kept for at most 100,000 clients', () => {
    const { limit, pass } = openLimit(60);
    for (let client = 0; client < 100_500; client++) limit.consume(`client ${client}`);
    expect(limit.clients()).toBe(100_000);
    pass(2 * minute);
    limit.consume('one more');
    expect(limit.clients()).toBe(1);
  });
});

describe('a client', () => {
  const ask = (trustedProxies: number, address: string, forwarded?: string) =>
    createClientOf(trustedProxies)(
      new Request(
        'http://localhost/',
        forwarded === undefined ? {} : { headers: { 'x-forwarded-for': forwarded } },
      ),
      () => address,
    );

  test('is the address of the connection, whatever its headers say', () => {
    expect(ask(0, '10.0.0.7')).toBe('10.0.0.7');
    expect(ask(0, '10.0.0.7', '1.2.3.4')).toBe('10.0.0.7');
  });

  test.each([
    [1, '203.0.113.9', '203.0.113.9'],
    [1, 'forged, 203.0.113.9', '203.0.113.9'],
    [2, 'forged, 203.0.113.9, 10.0.0.1', '203.0.113.9'],
    [2, '203.0.113.9', '203.0.113.9'],
    [1, '203.0.113.9:4711', '203.0.113.9'],
    [1, '[2001:db8:1:2:3::4]:4711', '2001:db8:1:2'],
    [1, '2001:DB8:0001:0002::', '2001:db8:1:2'],
    [1, '::ffff:cb00:7109', '203.0.113.9'],
    [1, 'unknown', '10.0.0.7'],
    [1, '1.2.3.4, ', '10.0.0.7'],
    [3, ',,,', '10.0.0.7'],
    [1, '203.0.113.256', '10.0.0.7'],
    [1, '203.0.113.9:x', '10.0.0.7'],
    [1, `${'1.2.3.4, '.repeat(1_600)}203.0.113.9`, '203.0.113.9'],
    [2, `${'1.2.3.4, '.repeat(1_600)}203.0.113.9, 10.0.0.1`, '203.0.113.9'],
    [1, undefined, '10.0.0.7'],
  ])('behind %d proxies is the address that the outermost of them saw: %s', (proxies, forwarded, client) => {
    expect(ask(proxies, '10.0.0.7', forwarded)).toBe(client);
  });

  test('is not looked up from the connection when a proxy has sent it', () => {
    const request = new Request('http://localhost/', { headers: { 'x-forwarded-for': '203.0.113.9' } });
    let asked = 0;
    const addressOf = () => `10.0.0.${++asked}`;
    expect(createClientOf(1)(request, addressOf)).toBe('203.0.113.9');
    expect(asked).toBe(0);
  });

  test.each([
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:DB8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:FFFF:C000:0201', '192.0.2.1'],
    ['0000:0000:0000:0000:0000:ffff:192.0.2.1', '192.0.2.1'],
    ['2001:0db8:0001:0002:0000:0000:0000:0006', '2001:db8:1:2'],
    ['2001:db8:1:2:3:4:192.0.2.1', '2001:db8:1:2'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('with IPv6 is its /64: %s', (address, client) => {
    expect(ask(0, address)).toBe(client);
  });
});

describe('an IPv6 address', () => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  });
  /** With or without leading zeros, in either case, with a run of zeros shortened, with the end as IPv4. */
  const spell = (parts: number[], long: boolean, upper: boolean, short: boolean, v4: boolean) => {
    const texts = parts.map((part) => part.toString(16).padStart(long ? 4 : 1, '0'));
    const [high = 0, low = 0] = parts.slice(6);
    if (v4) texts.splice(6, 2, [high >> 8, high & 255, low >> 8, low & 255].join('.'));
    const from = short ? parts.indexOf(0) : -1;
    let to = from;
    while (from !== -1 && to < texts.length && parts[to] === 0 && !texts[to]?.includes('.')) to++;
    const text =
      to > from ? `${texts.slice(0, from).join(':')}::${texts.slice(to).join(':')}` : texts.join(':');
    return upper ? text.toUpperCase() : text;
  };

  test('is the same client in every spelling, of a connection and of a header', () => {
    fc.assert(
      fc.property(
        groups,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (parts, long, upper, short, v4, isMapped) => {
          const address = isMapped ? [0, 0, 0, 0, 0, 0xffff, ...parts.slice(6)] : parts;
          const spelled = spell(address, long, upper, short, v4);
          const plain = spell(address, false, false, false, false);
          const wanted = createClientOf(0)(new Request('http://localhost/'), () => plain);
          expect(createClientOf(0)(new Request('http://localhost/'), () => spelled)).toBe(wanted);
          for (const header of [spelled, `[${spelled}]:80`]) {
            const request = new Request('http://localhost/', { headers: { 'x-forwarded-for': header } });
            expect(createClientOf(1)(request, () => 'none')).toBe(wanted);
          }
        },
      ),
    );
  });

  test.each([
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '12345::',
    'g::',
    ':::',
    '::1.2.3',
    '::1.2.3.4.5',
    '[::1',
    '::1]',
  ])('%s is invalid', (text) => expect(parseAddress(text)).toBeUndefined());
});

test('only the address of a long header stays in memory', () => {
  const limit = createRateLimit(10);
  const clientOf = createClientOf(1);
  const padding = 'x'.repeat(15_000);
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  // The headers together are 450 MB.
  for (let number = 0; number < 30_000; number++) {
    const address = `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
    const headers = { 'x-forwarded-for': `${padding}${number}, ${address}` };
    limit.consume(clientOf(new Request('http://localhost/', { headers }), () => 'none'));
  }
  Bun.gc(true);
  expect(limit.clients()).toBe(30_000);
  expect(process.memoryUsage.rss() - before).toBeLessThan(150e6);
});

describe('over the limit', () => {
  const open = (perMinute: number) => openApp({ rateLimit: createRateLimit(perMinute) });

  test('every route but those of operations answers 429 with Retry-After, and queries nothing', async () => {
    const { app, asked } = open(2);
    const get = (url: string, address = '10.0.0.1') =>
      app.fetch(new Request(`http://localhost${url}`), () => address);
    expect((await get(path)).status).toBe(200);
    expect((await get('/')).status).toBe(200);
    for (const url of [path, '/', '/swagger', '/swagger/json', '/nothing', '/order/short']) {
      const response = await get(url);
      expect([url, response.status]).toEqual([url, 429]);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(Number(response.headers.get('retry-after'))).toBeWithin(1, 31);
      expect(await response.json()).toMatchObject({
        status: 429,
        requestId: response.headers.get('x-request-id'),
      });
    }
    for (const url of ['/healthz', '/readyz', '/metrics']) expect((await get(url)).status).toBe(200);
    expect((await get(path, '10.0.0.2')).status).toBe(200);
    expect(asked).toHaveLength(1);
  });
});
