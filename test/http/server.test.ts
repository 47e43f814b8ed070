import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { listen } from '../../src/http/server.ts';
import { connect } from '../support/raw-http.ts';
import { until } from '../support/until.ts';

// Bun's timeout for the head of a request is 10 s, and its timers have a resolution of 4 s.
setDefaultTimeout(60_000);

const host = '127.0.0.1';
const head = (method: string, path: string, ...headers: string[]) =>
  [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n');

const megabytes = (count: number) => new Uint8Array(count * 1024 * 1024);
/** Far more than the operating system's buffers. */
const large = megabytes(32);

const gate = Promise.withResolvers<void>();
const givenUp = Promise.withResolvers<void>();
const app = {
  async fetch({ url, signal }: Request) {
    const { pathname, search } = new URL(url);
    if (pathname === '/slow') await gate.promise;
    if (search === '?watched') signal.addEventListener('abort', () => givenUp.resolve());
    return new Response(pathname === '/large' ? large : 'an answer');
  },
};
let server: ReturnType<typeof listen>;
beforeAll(() => {
  server = listen(app, { port: 0, host, idleTimeout: 2 });
});
afterAll(() => server.stop());

const open = (port = server.port) => connect({ port, hostname: host });
/** Another client's request; resolves with how long it took, in ms. */
const neighbour = async () => {
  const begun = performance.now();
  const response = await fetch(`http://${host}:${server.port}/`);
  expect(await response.text()).toBe('an answer');
  return performance.now() - begun;
};

/** Sends `first`, then `part` every 200 ms, until the server closes the connection; resolves with the response and the time, in ms. */
const trickle = async (first: string, part = '') => {
  const begun = performance.now();
  const connection = await open();
  connection.write(first);
  const dripping = setInterval(() => part && connection.write(part), 200);
  await connection.closed;
  clearInterval(dripping);
  return { answer: connection.text(), took: performance.now() - begun };
};

test.concurrent.each([
  ['nothing at all', '', ''],
  ['half a request line', 'GET /heal', ''],
  ['a request line that never ends', 'GET /', 'a'],
  ['a header that never ends', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: ', 'a'],
  ['headers without end', 'GET / HTTP/1.1\r\nHost: localhost\r\n', 'X: a\r\n'],
])('a connection that begins with %s is closed after 10 s', async (_, first, part) => {
  const { answer, took } = await trickle(first, part);
  expect(answer).toBe('');
  expect(took).toBeLessThan(18_000);
});

test.concurrent.each([
  ['silence', head('GET', '/'), ''],
  ['half a request', `${head('GET', '/')}GET /`, ''],
  ['a request that trickles', `${head('GET', '/')}GET /`, 'a'],
  ['a body that is never sent', head('GET', '/', 'Content-Length: 60000'), ''],
  ['a body of a gigabyte for a GET', head('GET', '/', 'Content-Length: 1000000000'), 'a'.repeat(1000)],
  ['a body that trickles', head('POST', '/', 'Content-Length: 60000'), 'a'],
  ['chunks without end', head('POST', '/', 'Transfer-Encoding: chunked'), '1\r\na\r\n'],
  ['bytes in a tunnel that there is not', head('CONNECT', 'x:80'), 'a'],
])('after an answer, %s does not keep the connection open', async (_, first, part) => {
  const { answer, took } = await trickle(first, part);
  expect(answer).toStartWith('HTTP/1.1 200 OK\r\n');
  expect(took).toBeLessThan(12_000);
});

test.concurrent('a response that the client does not read is aborted', async () => {
  const connection = await open();
  connection.pause();
  connection.write(head('GET', '/large?watched'));
  await givenUp.promise;
  connection.resume();
  await connection.closed;
  expect(connection.length()).toBeLessThan(large.length);
});

test.concurrent.each([
  ['a header of 17 kB', head('GET', '/', `X: ${'a'.repeat(17_000)}`), 431],
  ['a header of 10 MB', head('GET', '/', `X: ${'a'.repeat(10_000_000)}`), 431],
  ['a target of 17 kB', head('GET', `/${'a'.repeat(17_000)}`), 431],
  ['a target without end', `GET /${'a'.repeat(1_000_000)}`, 431],
  ['250 headers', head('GET', '/', ...Array.from({ length: 250 }, (_, n) => `X-${n}: a`)), 431],
  ['a body of more than 64 kB', head('POST', '/', 'Content-Length: 65537'), 413],
])('%s is rejected, and the connection closed', async (_, bytes, status) => {
  const { answer, took } = await trickle(bytes);
  expect(answer).toStartWith(`HTTP/1.1 ${status} `);
  expect(answer).toEndWith('Connection: close\r\n\r\n');
  expect(took).toBeLessThan(5_000);
});

test.concurrent('a thousand connections with no request, or half of one, do not delay others', async () => {
  const connections = await Promise.all(Array.from({ length: 1_000 }, () => open()));
  for (const connection of connections.slice(500)) connection.write('GET / HTTP/1.1\r\nHost: ');
  for (let asked = 0; asked < 20; asked++) expect(await neighbour()).toBeLessThan(2_000);
  for (const connection of connections) connection.terminate();
});

test.concurrent('thousands of requests on a connection that reads no response are not all answered in memory', async () => {
  const before = process.memoryUsage.rss();
  const connection = await open();
  connection.pause();
  // The responses together are 64 GB.
  connection.write(head('GET', '/large').repeat(2_000));
  for (let asked = 0; asked < 20; asked++) expect(await neighbour()).toBeLessThan(2_000);
  expect(process.memoryUsage.rss() - before).toBeLessThan(400e6);
  connection.resume();
  await connection.closed;
  expect(connection.length()).toBeLessThan(large.length);
});

test('thousands of pipelined requests get turns of a few ms, not the whole event loop', async () => {
  let answered = 0;
  const busy = listen(
    {
      fetch() {
        answered++;
        const until = performance.now() + 2;
        while (performance.now() < until);
        return new Response('an answer');
      },
    },
    { port: 0, host },
  );
  let turns = 0;
  let most = 0;
  const watching = setInterval(() => {
    most = Math.max(most, answered - turns);
    turns = answered;
  }, 0);
  const flood = await open(busy.port);
  flood.write(head('GET', '/').repeat(5_000));
  await flood.closed;
  // 500 of them take a second.
  expect(most).toBeWithin(10, 100);
  expect(answered).toBeLessThan(100);

  const ten = await open(busy.port);
  ten.write(head('GET', '/').repeat(9) + head('GET', '/', 'Connection: close'));
  await ten.closed;
  expect(ten.text().match(/HTTP\/1\.1 200 OK/g)).toHaveLength(10);

  const answers = await Promise.all(
    Array.from({ length: 100 }, async () => (await fetch(`http://${host}:${busy.port}/`)).text()),
  );
  expect(answers).toEqual(Array(100).fill('an answer'));
  clearInterval(watching);
  await busy.stop();
});

test('a draining server still answers, closes each connection with its next response, and then stops', async () => {
  const draining = listen(app, { port: 0, host });
  const answers = (text: string) => text.match(/HTTP\/1\.1 200 OK/g)?.length ?? 0;
  const [kept, busy, half] = await Promise.all([
    open(draining.port),
    open(draining.port),
    open(draining.port),
  ]);
  kept.write(head('GET', '/'));
  await until(() => answers(kept.text()) === 1);
  expect(kept.text()).not.toMatch(/connection: close/i);
  busy.write(head('GET', '/slow'));
  half.write('GET / HTTP/1.1\r\n');

  draining.drain();
  kept.write(head('GET', '/'));
  await kept.closed;
  expect(answers(kept.text())).toBe(2);
  expect(kept.text()).toMatch(/connection: close/i);
  const late = await open(draining.port);
  late.write(head('GET', '/'));
  await late.closed;
  expect(answers(late.text())).toBe(1);

  const stopped = draining.stop();
  half.write('Host: localhost\r\n\r\n');
  gate.resolve();
  await Promise.all([busy.closed, half.closed]);
  expect([answers(busy.text()), answers(half.text())]).toEqual([1, 1]);
  await stopped;
  await expect(open(draining.port)).rejects.toThrow();
});
