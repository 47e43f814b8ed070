import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createFeed } from '../../src/http/feed.ts';
import { listen } from '../../src/http/server.ts';
import { openApp, path } from '../support/open-app.ts';

describe('on a socket', () => {
  const feed = createFeed();
  const { app } = openApp({ feed });
  let server: ReturnType<typeof listen>;
  beforeAll(() => {
    server = listen(app, { port: 0, host: '127.0.0.1' });
  });
  afterAll(async () => {
    feed.close();
    await server.stop();
  });

  /** Sends bytes; resolves with what was received until the server closed the connection, or until `isEnough`. */
  const send = (bytes: string | Uint8Array, isEnough = (_: string) => false) =>
    new Promise<string>((resolve, reject) => {
      let answer = '';
      const socket = Bun.connect({
        hostname: '127.0.0.1',
        port: server.port,
        socket: {
          open: (opened) => void opened.write(bytes),
          data(opened, part) {
            answer += part.toString('latin1');
            if (!isEnough(answer)) return;
            opened.end();
            resolve(answer);
          },
          close: () => resolve(answer),
          error: () => resolve(answer),
        },
      });
      socket.catch(reject);
    });
  const ask = (method: string, url: string, headers = '') =>
    send(Buffer.from(`${method} ${url} HTTP/1.1\r\nHost: localhost\r\n${headers}Connection: close\r\n\r\n`));
  const split = (answer: string) => {
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    const [status = '', ...lines] = head.split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 2),
      ]),
    );
    return { status: Number(status.split(' ')[1]), headers, body };
  };

  test('HEAD is GET without the body: same status, same headers, same length', async () => {
    const urls = app.routes.filter(({ method }) => method === 'GET').map((route) => route.path);
    for (const url of [...urls, path, '/order/short', '/order/no-such-order', '/nothing']) {
      if (url === '/events' || url.includes(':')) continue;
      const gotten = split(await ask('GET', url));
      const head = split(await ask('HEAD', url));
      const vary = ['date', 'server-timing', 'connection', 'cache-status', 'x-request-id'];
      for (const name of vary) for (const { headers } of [gotten, head]) delete headers[name];
      expect([url, head.status, head.body]).toEqual([url, gotten.status, '']);
      expect([url, head.headers]).toEqual([url, gotten.headers]);
      expect([url, Number(gotten.headers['content-length'])]).toEqual([
        url,
        Buffer.byteLength(gotten.body, 'latin1'),
      ]);
    }
  });

  test('HEAD of the live list ends, and opens no subscription', async () => {
    expect(split(await ask('HEAD', '/events'))).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/event-stream' },
    });
    expect(feed.subscribers()).toBe(0);
  });

  test.each(['x', 'app', 'a.b', 'localhost', '127.0.0.1', '[::1]:80', 'a.very.long.name.example.org:8081'])(
    'the host may be called %s',
    async (host) => {
      const answer = await send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      expect(split(answer).status).toBe(200);
    },
  );

  test('UTF-8 in the path needs no percent-encoding', async () => {
    const answer = await send(
      Buffer.from('GET /order/žluťoučkýkůň HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    );
    expect(split(answer).status).toBe(404);
  });

  test('TRACE is rejected and echoes nothing', async () => {
    const { status, body } = split(await ask('TRACE', path, 'Cookie: secret=1\r\n'));
    expect(status).toBe(405);
    expect(body).not.toContain('secret');
  });

  test('a path of 10 kB and one of 10 MB are answered or rejected', async () => {
    expect(split(await ask('GET', `/order/${'a'.repeat(10_000)}`)).status).toBe(400);
    const huge = await send(`GET /${'a'.repeat(10_000_000)}`, (answer) => answer.includes('\r\n\r\n'));
    expect(split(huge).status || 431).toBeGreaterThanOrEqual(400);
    expect(split(await ask('GET', '/healthz')).status).toBe(200);
  });

  test('the server survives garbage, wrong lengths and sudden ends', async () => {
    const random = () => crypto.getRandomValues(new Uint8Array(2_000));
    const lies = [
      '\r\n\r\n\r\n\r\n',
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabcdefgh`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
      `GET ${path} HTTP/1.1\nHost: x\n\n`,
      `GET http://[:::/ HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: a b<script>\r\n\r\n`,
    ];
    for (const lie of [...lies, random(), random(), random()]) {
      const answered = send(typeof lie === 'string' ? Buffer.from(lie, 'latin1') : lie, (answer) =>
        answer.includes('\r\n\r\n'),
      );
      const { promise: patience, resolve } = Promise.withResolvers<string>();
      const timer = setTimeout(resolve, 100, '');
      expect(await Promise.race([answered, patience])).not.toMatch(/at .*\.ts:|node_modules|Bun v/);
      clearTimeout(timer);
      expect(split(await ask('GET', '/healthz')).status).toBe(200);
    }
  });

  test('a body that is too large is rejected, and so is one that is never complete', async () => {
    const answer = await send(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n`,
      (given) => given.includes('\r\n\r\n'),
    );
    expect(split(answer).status).toBeGreaterThanOrEqual(400);
  });

  test('pipelined requests are answered in order', async () => {
    const request = (url: string) => `GET ${url} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const count = (answer: string) => answer.match(/HTTP\/1\.1 (\d+)/g)?.map((line) => line.slice(-3)) ?? [];
    const urls = [path, '/order/short', '/order/unknown-one', '/healthz', '/nothing'];
    const answer = await send(urls.map(request).join(''), (given) => count(given).length === 5);
    expect(count(answer)).toEqual(['200', '400', '404', '200', '404']);
  });

  test('a port that is taken is an error of one line that says what to do', () => {
    expect(() => listen(app, { port: server.port, host: '127.0.0.1' })).toThrow(
      new RegExp(`^Port ${server.port} on 127.0.0.1 is taken\\. .*PORT`),
    );
  });

  test('a stop finishes the requests in flight, and accepts no new ones', async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const slow = listen(
      {
        async fetch() {
          arrived.resolve();
          await gate.promise;
          return new Response('done');
        },
      },
      { port: 0, host: '127.0.0.1' },
    );
    const running = fetch(`http://127.0.0.1:${slow.port}`);
    await arrived.promise;
    const stopped = slow.stop();
    gate.resolve();
    expect(await (await running).text()).toBe('done');
    await stopped;
    await expect(fetch(`http://127.0.0.1:${slow.port}`)).rejects.toThrow();
  });
});
