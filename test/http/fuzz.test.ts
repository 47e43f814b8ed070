import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { type Program, startProgram } from '../support/program.ts';
import { connect } from '../support/raw-http.ts';

setDefaultTimeout(90_000);

const order = createOrderMaker({ seed: 3 })();
const found = `/order/${order.order_uid}`;

const bytes = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array).toString('latin1'));
const mostly = <T>(usual: T, ...others: fc.Arbitrary<T>[]) =>
  fc.oneof(
    { weight: 10, arbitrary: fc.constant(usual) },
    ...others.map((arbitrary) => ({ weight: 1, arbitrary })),
  );

const method = mostly(
  'GET',
  fc.constantFrom('GET', 'POST', 'DELETE'),
  fc.constantFrom('GET', 'POST', 'DELETE'),
  fc.constantFrom('HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PATCH', 'PRI'),
  fc.constantFrom('get', 'FOO', 'G<T', 'GET GET', '', ' ', 'A'.repeat(5_000)),
  bytes(12),
);

// biome-ignore format: one awkward thing after another
const awkwardTargets = ['/', '/healthz', '/readyz', '/metrics', '/swagger', '/swagger/json', '/events', '/assets/', '/?uid=%00', '/?uid=%ff%fe', '/?uid=<script>', '/?uid=a&uid=b', '/?%', '//', '//evil/healthz', '/..', '/../../etc/passwd', '/order/../healthz', '/order/%2e%2e/%2e%2e', '/order%2Fabcdefghijkl', '/order/a%2Fb%2Fc%2Fd%2Fe', '/order/%zz23456789', '/order/%c3%28456789', '/order/\xff\xfe\xfd3456789', '/order/\x00\x01\x02456789', '/order/', '/order//', '/order/abc\\..\\..', '/order/%F0%9F%98%80%F0%9F%98%80', '*', '', '?', '#', '/#/order', 'healthz', 'http://x/healthz', 'http://[:::/', 'http://u:p@x:99999/', 'https://x', 'ftp://x/', 'x:80', `/${'a'.repeat(9_000)}`, `/${'a'.repeat(20_000)}`, `/order/${'%41'.repeat(3_000)}`, '/constructor', '/__proto__'];
// Often enough that each status that the test expects occurs dozens of times: a rare one could be missing in some runs.
const target = mostly(
  found,
  fc.constantFrom(found, '/nowhere', '/nowhere'),
  fc.constantFrom(found, '/nowhere', '/nowhere'),
  fc.constantFrom(...awkwardTargets),
  bytes(60).map((text) => `/order/${text}`),
  bytes(60),
);

const version = mostly(
  'HTTP/1.1',
  fc.constantFrom(
    'HTTP/1.0',
    'HTTP/1.2',
    'HTTP/2.0',
    'HTTP/0.9',
    'http/1.1',
    'HTTP/1.1 ',
    'HTTP/',
    '',
    'HTTP/99999.1',
  ),
  bytes(8),
);

// biome-ignore format: one awkward thing after another
const awkwardHeaders = ['Host: other', 'Host: ', 'Host: a b', 'Host: a/b?c#d', 'Host: [::1', 'Host: \xff', 'Host: u:p@x', 'host:x', 'Content-Length: 0', 'Content-Length: 5', 'Content-Length: 5, 5', 'Content-Length: -1', 'Content-Length: +5', 'Content-Length: 0x5', 'Content-Length: ', 'Content-Length: 99999999999999999999', 'Content-Length: 1000000000', 'Content-Length : 5', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: identity', 'Transfer-Encoding: xchunked', 'Transfer-Encoding:\x0bchunked', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding : chunked', ' Transfer-Encoding: chunked', 'Connection: close', 'Connection: keep-alive, close', 'Connection: Upgrade', 'Upgrade: websocket', 'Upgrade: h2c', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13', 'HTTP2-Settings: AAMAAABkAAQAAP__', 'Expect: 100-continue', 'Expect: 200-ok', 'If-None-Match: *', 'If-None-Match: "', 'If-None-Match: W/"x",,,"', 'Range: bytes=0-1', 'Accept-Language: \xff;q=a,,,', 'Accept: text/html', 'HX-Request: true', 'HX-Request-Type: partial', 'Cookie: =;;=', 'X-Forwarded-For: <script>', 'X-Forwarded-For: ::1, 999.1.1.1,,', 'X-Request-Id: a\tb', `X-Request-Id: ${'a'.repeat(5_000)}`, 'traceparent: 00-zz', 'Authorization: Bearer \x80', 'X: a\x00b', 'X: a\rb', 'X: a\nb', 'X: a\x7fb', 'nonsense', ': a', `X: ${'a'.repeat(20_000)}`, `Cookie: ${'a=b; '.repeat(4_000)}`, 'X'.repeat(20_000)];
const header = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...awkwardHeaders) },
  { weight: 1, arbitrary: fc.tuple(bytes(12), bytes(30)).map((pair) => pair.join(': ')) },
);

const lineEnd = mostly('\r\n', fc.constantFrom('\n', '\r', '\r\r\n', '\n\r'));
const body = mostly(
  '',
  fc.constantFrom('0\r\n\r\n', '5\r\nhello\r\n0\r\n\r\n', 'zz\r\n', 'ffffffffffffffff\r\n', 'hello'),
  bytes(200),
);

const request = fc
  .record({
    method,
    target,
    version,
    host: fc.constantFrom(
      'Host: localhost',
      'Host: localhost',
      'Host: a b',
      'Host: a/b?c',
      'Host: ',
      'Host: x',
      '',
    ),
    headers: fc.array(header, { maxLength: 4 }),
    lineEnd,
    body,
  })
  .map(({ method, target, version, host, headers, lineEnd, body }) =>
    [`${method} ${target} ${version}`, ...(host ? [host] : []), ...headers, '', body].join(lineEnd),
  );

const good = `GET ${found} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const message = fc.oneof(
  { weight: 8, arbitrary: request },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant(good), request, fc.constant(good)).map((all) => all.join('')),
  },
  { weight: 1, arbitrary: bytes(3_000) },
  // TLS and HTTP/2, which the server does not speak.
  { weight: 1, arbitrary: bytes(300).map((rest) => `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${rest}`) },
  { weight: 1, arbitrary: bytes(100).map((rest) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${rest}`) },
);

/** What one client sends: a part of a message, in some pieces; and how it ends the connection. */
const conversation = fc.record({
  message,
  share: mostly(1, fc.double({ min: 0, max: 1, noNaN: true })),
  pieces: fc.integer({ min: 1, max: 4 }),
  leaves: fc.constantFrom('when answered', 'says that it has ended', 'is gone'),
});

type Conversation = typeof conversation extends fc.Arbitrary<infer T> ? T : never;
type Answer = { status: number; text: string };

/** Parses complete responses; undefined while the last one is incomplete. Throws for anything that is no HTTP. */
const toAnswers = (text: string, mayBeHead: boolean): Answer[] | undefined => {
  const answers: Answer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    const [line = '', ...headers] = rest.slice(0, end).split('\r\n');
    expect(line).toMatch(/^HTTP\/1\.1 [1-5]\d\d [A-Z][\w' -]*$/);
    for (const one of headers) expect(one).toMatch(/^[\w-]+: ?[\x20-\x7e]*$/);
    const status = Number(line.slice(9, 12));
    const length = Number(/^content-length: (\d+)$/im.exec(headers.join('\n'))?.[1] ?? 0);
    // The live list has neither a length nor an end.
    const isStream = headers.some((one) => /^transfer-encoding: chunked$/i.test(one));
    let from = end + 4;
    const hasBody = !(mayBeHead && (rest.length === from || rest.startsWith('HTTP/1.1 ', from)));
    if (isStream) from = rest.length;
    else if (status !== 304 && hasBody) from += length;
    if (rest.length < from) return undefined;
    answers.push({ status, text: rest.slice(0, from) });
    rest = rest.slice(from);
  }
  return answers;
};

const allowed = new Set([100, 200, 304, 400, 404, 405, 413, 414, 417, 429, 431, 501, 503, 505]);

describe.each([
  ['that answers lookups', 'http'],
  ['that only consumes', 'consumer'],
])('a process %s', (_, serve) => {
  let program: Program;
  let port: number;
  let database: Awaited<ReturnType<typeof testDatabase>>;
  beforeAll(async () => {
    database = await testDatabase();
    await createStore(database.sql).save([order]);
    program = startProgram({
      DATABASE_URL: database.url,
      KAFKA_BROKERS: '127.0.0.1:1',
      SERVE: serve,
      RATE_LIMIT: '0',
      LIVE_FEED: 'true',
    });
    port = Number(new URL(await program.url()).port);
    await until(() => serve === 'consumer' || program.lines().some(({ msg }) => msg === 'the cache is warm'));
  });
  afterAll(async () => {
    await program[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const open = () => connect({ hostname: '127.0.0.1', port });
  const expectAnswers = async () => {
    const response = await fetch(`http://127.0.0.1:${port}${serve === 'http' ? found : '/healthz'}`);
    const body = await response.json();
    expect([response.status, body]).toMatchObject([
      200,
      serve === 'http' ? { order_uid: order.order_uid } : { status: 'alive' },
    ]);
  };
  const residentMegabytes = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]) / 1e6;
  };

  /** Resolves with the complete responses, when the server has closed the connection or is silent. */
  const talk = async ({ message, share, pieces, leaves }: Conversation) => {
    const connection = await open();
    const sent = message.slice(0, Math.ceil(message.length * share));
    const size = Math.ceil(sent.length / pieces) || 1;
    for (let at = 0; at < sent.length; at += size) {
      connection.write(sent.slice(at, at + size));
      await new Promise(setImmediate);
    }
    if (leaves === 'is gone') {
      connection.terminate();
      return [];
    }
    if (leaves === 'says that it has ended') connection.end();
    const mayBeHead = sent.includes('HEAD');
    const read = () => toAnswers(connection.text(), mayBeHead);
    // An incomplete request has no response: silence of 30 ms counts as the end.
    let length = -1;
    let since = 0;
    const answers = await until(() => {
      if (connection.length() !== length) {
        length = connection.length();
        since = Date.now();
      }
      return connection.isClosed() || Date.now() - since > 30 ? read() : undefined;
    });
    connection.terminate();
    return answers;
  };

  test('survives any bytes, answers in HTTP, never with an internal server error, and still answers right after', async () => {
    await expectAnswers();
    const before = await residentMegabytes();
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(fc.array(conversation, { minLength: 40, maxLength: 40 }), async (conversations) => {
        for (const answers of await Promise.all(conversations.map(talk)))
          for (const { status, text } of answers) {
            statuses.add(status);
            expect(allowed).toContain(status);
            if (status !== 200)
              expect(text).not.toMatch(/\bat .*:\d+:\d+|node_modules|\.tsx?\b|Bun v|Error:/);
          }
        await expectAnswers();
      }),
      { numRuns: 60, interruptAfterTimeLimit: 60_000 },
    );
    expect([...statuses]).toContainValues([400, 404, 431, ...(serve === 'http' ? [200, 405] : [])]);
    expect(program.lines().filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    expect((await residentMegabytes()) - before).toBeLessThan(150);
  });

  test.each([
    ['Host: ', 200],
    ['Host: x:99999', 200],
    ['Host: [::zz]', 400],
    ['Host: 1.2.3.999', 200],
    ['Host: a b', 400],
    ['Host: a/b?c', 400],
    ['Host: [::1', 400],
    ['Host: %', 400],
  ])('answers under any host name: %s', async (host, wellFormed) => {
    for (const path of [serve === 'http' ? '/?x' : '/healthz', '/readyz', '/metrics', '//x/nowhere']) {
      const connection = await open();
      connection.write(`GET ${path} HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`);
      await connection.closed;
      const status = Number(connection.text().slice(9, 12));
      const usual = path.startsWith('//') ? 404 : path === '/readyz' && serve === 'consumer' ? 503 : 200;
      expect([path, status]).toEqual([path, wellFormed === 200 ? usual : wellFormed]);
    }
  });

  const smuggled = 'GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n';
  test.each([
    ['Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'],
    ['Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'],
    ['Content-Length: 0\r\nContent-Length: 5', ''],
    ['Content-Length: 5, 5', 'hello'],
    ['Content-Length: +5', 'hello'],
    ['Content-Length: 0x5', 'hello'],
    ['Content-Length: -1', ''],
    ['Content-Length : 5', 'hello'],
    ['Transfer-Encoding : chunked', '0\r\n\r\n'],
    ['Transfer-Encoding:\x0bchunked', '0\r\n\r\n'],
    ['Transfer-Encoding: xchunked', '0\r\n\r\n'],
    ['Transfer-Encoding: chunked, identity', '0\r\n\r\n'],
    ['Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\n'],
    ['X: a\r\n Transfer-Encoding: chunked', '0\r\n\r\n'],
    ['X: a\n\nTransfer-Encoding: chunked', '0\r\n\r\n'],
  ])(
    'an ambiguous length (%j) is rejected, and nothing behind it is parsed as a request',
    async (headers, rest) => {
      const connection = await open();
      connection.write(`POST /healthz HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${rest}${smuggled}`);
      await connection.closed;
      expect(toAnswers(connection.text(), false)?.map(({ status }) => status)).toEqual([400]);
    },
  );
});
