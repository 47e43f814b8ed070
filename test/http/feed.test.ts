import { afterAll, expect, test } from 'bun:test';
import { createFeed } from '../../src/http/feed.ts';
import type { Summary } from '../../src/order/summary.ts';
import { openApp } from '../support/open-app.ts';
import { until } from '../support/until.ts';

const summaryOf = (number: number, more: Partial<Summary> = {}): Summary => ({
  uid: `order-${number}`,
  placed: '2026-01-01T00:00:00Z',
  items: 1,
  amount: number,
  currency: 'RUB',
  stored: '2026-01-01T00:00:01Z',
  ...more,
});

const feeds: ReturnType<typeof createFeed>[] = [];
const open = () => {
  const feed = createFeed();
  feeds.push(feed);
  return feed;
};
afterAll(() => {
  for (const feed of feeds) feed.close();
});

/** Reads a stream in the background. */
const read = (stream: ReadableStream<Uint8Array> | undefined) => {
  const state = { text: '', ended: false };
  const uids = () =>
    [...state.text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data as string).uid);
  void (async () => {
    const decoder = new TextDecoder();
    for await (const part of stream as unknown as AsyncIterable<Uint8Array>)
      state.text += decoder.decode(part);
    state.ended = true;
  })();
  return { state, uids };
};

test('a subscriber gets a comment at once, and each order as an event of one line', async () => {
  const feed = open();
  const { state, uids } = read(feed.open());
  await until(() => state.text.startsWith(': '));
  feed.publish([summaryOf(1, { uid: 'line\nbreak\r\ndata: x' })]);
  await until(() => uids().length === 1);
  expect(uids()).toEqual(['line\nbreak\r\ndata: x']);
  expect(state.text).toEndWith('}\n\n');
  // The comment, the history, which is empty, and the order.
  expect(state.text.split('\n\n')).toHaveLength(4);
});

test('an erased order leaves the history, what is about to be sent, and the lists of subscribers', async () => {
  const feed = open();
  const { state, uids } = read(feed.open());
  for (const number of [1, 2]) {
    feed.publish([summaryOf(number)]);
    await until(() => uids().length === number);
  }
  feed.publish([summaryOf(3)]);
  expect(feed.uids()).toEqual(['order-1', 'order-2', 'order-3']);
  feed.remove(['order-1', 'order-3']);
  await until(() => state.text.includes('event: erased\ndata: ["order-1","order-3"]\n\n'));
  feed.publish([summaryOf(4)]);
  await until(() => state.text.includes('order-4'));
  expect(state.text.match(/^data: \{/gm)).toHaveLength(3);
  const { state: later } = read(feed.open());
  await until(() => later.text.includes('event: history'));
  expect(later.text.match(/order-\d/g)).toEqual(['order-2', 'order-4', 'order-2', 'order-4']);
});

test('a stream begins with the numbers of the history, by which a list forgets the others', async () => {
  const feed = open();
  const { state, uids } = read(feed.open());
  await until(() => state.text.includes('event: history\ndata: []\n\n'));
  for (const number of [1, 2]) {
    feed.publish([summaryOf(number)]);
    await until(() => uids().includes(`order-${number}`));
  }
  feed.remove(['order-1']);
  const { state: later } = read(feed.open());
  await until(() => later.text.endsWith('event: history\ndata: ["order-2"]\n\n'));
});

/** Lets time pass at once, instead of waiting, until it is disposed of. */
const movedTime = () => {
  const { now } = performance;
  let passedMs = 0;
  performance.now = () => now.call(performance) + passedMs;
  return {
    pass(ms: number) {
      passedMs += ms;
    },
    [Symbol.dispose]() {
      performance.now = now;
    },
  };
};

test('the orders of a list that is paused are known for as long as its stream may last, beyond the last ten', async () => {
  const feed = createFeed({ streamMs: 60_000 });
  feeds.push(feed);
  const { state, uids } = read(feed.open());
  using time = movedTime();
  const publish = async (number: number) => {
    time.pass(1_000);
    feed.publish([summaryOf(number)]);
    await until(() => uids().includes(`order-${number}`));
  };
  for (let number = 1; number <= 20; number++) await publish(number);
  expect(feed.uids()).toHaveLength(20);
  feed.remove(['order-3']);
  await until(() => state.text.includes('event: erased\ndata: ["order-3"]\n\n'));
  expect(feed.uids()).toHaveLength(19);
  // They left the history a minute ago, and the stream that had them is closed.
  time.pass(90_000);
  await publish(21);
  expect(feed.uids()).toEqual(Array.from({ length: 11 }, (_, index) => `order-${index + 11}`));
});

test('orders are sent also after the clock was set back by an hour', async () => {
  const feed = open();
  const { uids } = read(feed.open());
  feed.publish([summaryOf(1)]);
  await until(() => uids().includes('order-1'));
  const now = Date.now;
  Date.now = () => now() - 3_600_000;
  try {
    feed.publish([summaryOf(2)]);
    await until(() => uids().includes('order-2'));
  } finally {
    Date.now = now;
  }
});

test('of many orders at once a sample is sent, the last of them always', async () => {
  const feed = open();
  const { uids } = read(feed.open());
  const begun = Date.now();
  let number = 0;
  await until(() => {
    for (let count = 0; count < 50; count++) feed.publish([summaryOf(number++)]);
    return Date.now() - begun > 1_000;
  });
  await until(() => uids().at(-1) === `order-${number - 1}`);
  expect(uids().length).toBeLessThanOrEqual(8);
  expect(uids().length).toBeGreaterThanOrEqual(3);
});

test('a new subscriber gets the last ten orders, in order', async () => {
  const feed = open();
  const first = read(feed.open());
  for (let number = 1; number <= 12; number++) {
    feed.publish([summaryOf(number)]);
    await until(() => first.uids().includes(`order-${number}`));
  }
  const late = read(feed.open());
  await until(() => late.uids().length === 10);
  expect(late.uids()).toEqual(Array.from({ length: 10 }, (_, index) => `order-${index + 3}`));
});

test('there are at most 500 subscribers, and one that leaves makes room', async () => {
  const feed = open();
  const streams = Array.from({ length: 500 }, (_, number) => feed.open(`client ${number % 25}`));
  expect(streams.every(Boolean)).toBe(true);
  expect(feed.hasRoomFor('another')).toBe(true);
  expect(feed.open('another')).toBeUndefined();
  await streams[0]?.cancel();
  expect(feed.subscribers()).toBe(499);
  expect(feed.open()).toBeDefined();
});

test('a client has at most 20 subscribers, apart from others, and one that leaves makes room', async () => {
  const feed = open();
  const { get, app } = openApp({ feed });
  const ask = (address: string, method = 'GET') =>
    app.fetch(new Request('http://localhost/events', { method }), () => address);
  const streams = await Promise.all(Array.from({ length: 20 }, () => ask('10.0.0.1')));
  expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200));
  const refused = await ask('10.0.0.1');
  expect([refused.status, refused.headers.get('content-type')]).toEqual([429, 'application/problem+json']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await ask('10.0.0.1', 'HEAD')).status).toBe(200);
  expect(feed.subscribers()).toBe(20);
  expect((await ask('10.0.0.2')).status).toBe(200);
  expect((await get('/healthz')).status).toBe(200);
  await streams[0]?.body?.cancel();
  expect((await ask('10.0.0.1')).status).toBe(200);
  expect((await ask('10.0.0.1')).status).toBe(429);
});

test('a subscriber that falls behind is dropped, and the others are not', async () => {
  const feed = open();
  feed.open();
  const { uids } = read(feed.open());
  using time = movedTime();
  for (let number = 0; number < 110; number++) {
    time.pass(1_000);
    feed.publish([summaryOf(number)]);
    await until(() => uids().length === number + 1);
  }
  expect(feed.subscribers()).toBe(1);
});

test('a stream is closed after its time, and its subscriber may reconnect', async () => {
  const feed = createFeed({ streamMs: 50 });
  feeds.push(feed);
  const { state } = read(feed.open());
  await until(() => state.ended);
  expect(feed.subscribers()).toBe(0);
  expect(feed.open()).toBeDefined();
});

test('close ends every stream, and none can be opened after it', async () => {
  const feed = createFeed();
  const { state } = read(feed.open());
  feed.publish([summaryOf(1)]);
  feed.close();
  await until(() => state.ended);
  expect(feed.subscribers()).toBe(0);
  expect(feed.open()).toBeUndefined();
  feed.publish([summaryOf(2)]);
  feed.close();
});

test('over HTTP, a client that disconnects makes room', async () => {
  const feed = open();
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(feed.open()) });
  const leaving = new AbortController();
  const response = await fetch(server.url, { signal: leaving.signal });
  expect(feed.subscribers()).toBe(1);
  leaving.abort();
  await until(() => feed.subscribers() === 0);
  await response.body?.cancel().catch(() => {});
  await server.stop(true);
});
