/** Dead letters in the console: pages and API, on Kafka, in the thread that the program uses. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { header } from '../../src/kafka/headers.ts';
import { buildOrder } from '../support/build-order.ts';
import { testFewAtOnce } from '../support/few-at-once.ts';
import { until } from '../support/kafka-and-postgres.ts';
import { openLetterConsole } from '../support/letter-console.ts';
import { anna, cookieOf, openConsole } from '../support/open-console.ts';
import { patientKafkaClient, readTopic } from '../support/pipeline.ts';

setDefaultTimeout(240_000);
const testOnKafka = testFewAtOnce();

const messageOf = (order: { order_uid: string } & Record<string, unknown>) => ({
  key: order.order_uid,
  value: JSON.stringify(order),
});

/** The last line of a change. */
const outcomeOf = async (response: Response) => {
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/x-ndjson');
  const lines = (await response.text()).trim().split('\n');
  return JSON.parse(lines.at(-1) ?? '');
};

const order = buildOrder({ order_uid: 'a-letter-uid' });
const german = { ...order, locale: 'de', payment: { ...order.payment, amount: 0 } };
const french = { ...buildOrder({ order_uid: 'another-uid' }), locale: 'fr' };

testOnKafka('letters are listed with counts, filtered, and shown in pages, newest first', async () => {
  await using console = await openLetterConsole();
  const { pipeline, json } = console;
  const now = Date.now();
  await pipeline.send([
    { ...messageOf(german), timestamp: String(now - 3_000) },
    { ...messageOf(french), timestamp: String(now - 2 * 86_400_000) },
    { key: 'k', value: 'no JSON', timestamp: String(now - 1_000) },
  ]);
  pipeline.join();
  await pipeline.drained();

  const all = await json('');
  expect(all.letters).toMatchObject([
    { letter: '0/2', stage: 'parse', key: 'k', state: 'open', redrives: 0 },
    { letter: '0/0', stage: 'validate', key: 'a-letter-uid' },
    { letter: '0/1', stage: 'validate', key: 'another-uid' },
  ]);
  expect(all.letters[1].reason).toStartWith('ValidationError: payment.amount must be an integer from 1');
  expect(all.counts).toEqual({
    total: 3,
    older: 0,
    stages: [
      { name: 'validate', count: 2 },
      { name: 'parse', count: 1 },
    ],
    fields: [
      { name: 'locale', count: 2 },
      { name: 'payment.amount', count: 1 },
    ],
    ages: [
      { name: 'hour', count: 2 },
      { name: 'week', count: 1 },
    ],
  });
  expect(all.next).toBeNull();

  const listed = async (query: string) =>
    (await json(query)).letters.map(({ letter }: { letter: string }) => letter);
  expect(await listed('?stage=parse')).toEqual(['0/2']);
  expect(await listed('?reason=LOCALE')).toEqual(['0/0', '0/1']);
  expect(await listed('?since=1h')).toEqual(['0/2', '0/0']);
  expect(await listed('?until=1h')).toEqual(['0/1']);
  expect(await listed('?uid=another-uid')).toEqual(['0/1']);
  expect(await listed('?state=discarded')).toEqual([]);
  const pages: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page: { counts: { total: number }; letters: { letter: string }[]; next: string | null } =
      await json(`?limit=1${cursor ? `&cursor=${cursor}` : ''}`);
    expect(page.counts.total).toBe(3);
    pages.push(...page.letters.map(({ letter }: { letter: string }) => letter));
    cursor = page.next;
  }
  expect(pages).toEqual(['0/2', '0/0', '0/1']);

  const page = await (await console.get('/console/dead-letters?reason=locale', { cookie: 'lang=en' })).text();
  expect(page).toContain('2 letters');
  expect(page).toContain('href="./letter?id=0%2F0"');
  const russian = await (await console.get('/console/dead-letters', { cookie: 'lang=ru' })).text();
  expect(russian).toContain('3 письма');
});

testOnKafka('while Kafka does not answer, the API and the page say so', async () => {
  await using console = await openLetterConsole(['127.0.0.1:1']);
  const { get, ask } = console;
  const authorization = `Bearer ${anna.token}`;
  const body = JSON.stringify({ filter: {} });
  const change = ask('/console/api/dead-letters/discard', {
    method: 'POST',
    headers: { authorization },
    body,
  });
  const [api, page, letter, changed] = await Promise.all([
    get('/console/api/dead-letters'),
    get('/console/dead-letters', { cookie: 'lang=en' }),
    get('/console/letter?id=0/0'),
    change.then(async (response) => (await response.text()).trim().split('\n').at(-1) ?? ''),
  ]);
  expect([api.status, api.headers.get('retry-after')]).toEqual([503, '5']);
  expect(page.status).toBe(503);
  expect(await page.text()).toContain('Kafka does not answer');
  expect(letter.status).toBe(503);
  expect(JSON.parse(changed)).toMatchObject({ state: 'failed', done: 0 });
});

testOnKafka('the link of a count leads to exactly the letters that were counted', async () => {
  await using console = await openLetterConsole();
  const { pipeline, json, get } = console;
  const { delivery, payment } = order;
  const faulty = [
    { ...french, order_uid: 'short' },
    { ...french, delivery: { ...delivery, city: '' } },
    { ...french, delivery: {}, payment: { ...payment, amount: -1 } },
    { ...french, items: [] },
    { ...order, sm_id: 'no number' },
    // A conflict: its reason names order_uid, though no field of it is faulty.
    { ...order, entry: 'OTHER' },
  ];
  await pipeline.send([order, ...faulty].map(messageOf));
  pipeline.join();
  await pipeline.drained();
  const { fields } = (await json('')).counts;
  expect(fields.length).toBeGreaterThan(6);
  const page = await (await get('/console/dead-letters', { cookie: 'lang=en' })).text();
  for (const { name, count } of fields) {
    const query = `field=${encodeURIComponent(name)}`;
    expect([name, page.includes(query)]).toEqual([name, true]);
    expect([name, (await json(`?${query}`)).counts.total]).toEqual([name, count]);
  }
  expect((await json('?reason=order_uid')).counts.total).toBe(2);
});

testOnKafka(
  'the count of letters of another program, without a stage or of an unknown one, is no link to a filter that is refused',
  async () => {
    await using console = await openLetterConsole();
    const { pipeline, get } = console;
    const kafka = await patientKafkaClient();
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({
      topic: pipeline.deadLetterTopic,
      messages: [
        { value: 'without a stage' },
        { value: 'of another', headers: { [header.stage]: 'enrich' } },
        { value: 'known', headers: { [header.stage]: 'parse' } },
      ],
    });
    await producer.disconnect();
    const page = await (await get('/console/dead-letters', { cookie: 'lang=en' })).text();
    for (const name of ['-', 'enrich']) expect(page).toContain(`<li><bdi>${name}</bdi>`);
    const links = [...page.matchAll(/<li><a href="\.\/(dead-letters\?[^"]*state=[^"]*)"/g)].map(
      ([, link = '']) => link.replaceAll('&amp;', '&'),
    );
    expect(links).toContain('dead-letters?stage=parse&state=open');
    for (const link of links) expect([link, (await get(`/console/${link}`)).status]).toEqual([link, 200]);
  },
);

testOnKafka(
  'a letter is shown with each fault at its field, edited, checked, sent again and stored',
  async () => {
    await using console = await openLetterConsole();
    const { pipeline, json, get, submit, lines } = console;
    await pipeline.send([messageOf(german)]);
    pipeline.join();
    await pipeline.drained();

    const letter = await json('/letter?letter=0/0');
    expect(letter).toMatchObject({ from: `0/0 of ${pipeline.topic}`, uid: 'a-letter-uid', isCut: false });
    const faulty = letter.lines.filter(({ faults }: { faults: string[] }) => faults.length > 0);
    expect(faulty).toEqual([
      { text: '    "amount": 0,', faults: ['must be an integer from 1 to 9007199254740991, is 0'] },
      { text: '  "locale": "de",', faults: ['is not one of en, ru'] },
    ]);
    const page = await (await get('/console/letter?id=0/0', { cookie: 'lang=en' })).text();
    expect(page).toContain('No order with this number is stored.');
    expect(page).toContain('class="faulty"><bdi>  &quot;locale&quot;: &quot;de&quot;,');

    const half = JSON.stringify({ ...german, locale: 'en' });
    const check = await submit('check', { value: half });
    expect(await check.text()).toContain('payment.amount must be');
    const fixed = JSON.stringify(order, null, 2).replaceAll('\n', '\r\n');
    expect(await (await submit('check', { value: fixed })).text()).not.toContain('<li>');
    expect(await (await submit('letter?id=0/0', { do: 'check', value: half })).text()).toContain(
      'payment.amount must be',
    );

    const skipped = await (await submit('letter?id=0/0', { do: 'edited', value: half })).text();
    expect(skipped).toContain('still not a valid order: payment.amount');
    expect((await json('')).letters).toHaveLength(1);
    const sent = await submit('letter?id=0/0', { do: 'edited', value: fixed });
    expect(await sent.text()).toContain('class="outcome"');
    await until(() => pipeline.store.find(order.order_uid));
    expect((await json('')).letters).toEqual([]);
    expect((await json('?state=redriven')).letters).toMatchObject([{ letter: '0/0', state: 'redriven' }]);
    const [, message] = await readTopic(pipeline.topic);
    expect(String(message?.value)).toBe(JSON.stringify(order, null, 2));
    const later = await (await get('/console/letter?id=0/0', { cookie: 'lang=en' })).text();
    expect(later).toContain('An order with this number is stored.');
    expect(later).not.toContain('<textarea');

    const actions = lines.map(({ line }) => line).filter(({ action }) => action);
    expect(actions).toEqual([
      { operator: 'anna', action: 'redrive', dryRun: false, state: 'done', done: 0, skipped: 1 },
      { operator: 'anna', action: 'redrive', dryRun: false, state: 'done', done: 1, skipped: 0 },
    ]);
  },
);

testOnKafka(
  'all that match are tried and sent with a JSON Patch, and what still fails is listed',
  async () => {
    await using console = await openLetterConsole();
    const { pipeline, json, post, submit } = console;
    await pipeline.send([messageOf(german), messageOf(french), { key: 'k', value: 'no JSON' }]);
    pipeline.join();
    await pipeline.drained();
    const fix = [{ op: 'replace', path: '/locale', value: 'en' }];
    const filter = { reason: 'locale' };
    const tried = await outcomeOf(await post('redrive', { filter, fix, dryRun: true }));
    expect(tried).toMatchObject({ state: 'done', done: 1, skipped: 1, read: 1 });
    expect(tried.skippedLetters).toEqual([
      { letter: '0/0', reason: expect.stringContaining('still not a valid order: payment.amount') },
    ]);
    expect((await json('')).counts.total).toBe(3);
    const page = { scope: 'all', reason: 'locale', fix: JSON.stringify(fix) };
    expect(await (await submit('dead-letters', { ...page, do: 'try' })).text()).toContain('0/0');
    expect((await json('')).counts.total).toBe(3);
    expect(await outcomeOf(await post('redrive', { filter, fix }))).toMatchObject({ done: 1, skipped: 1 });
    await until(() => pipeline.store.find('another-uid' as never));
    expect((await json('')).letters.map(({ letter }: { letter: string }) => letter).sort()).toEqual([
      '0/0',
      '0/2',
    ]);
  },
);

testOnKafka('selected letters are discarded, and that is taken back', async () => {
  await using console = await openLetterConsole();
  const { pipeline, json, post, submit } = console;
  await pipeline.send([messageOf(german), messageOf(french), { key: 'k', value: 'no JSON' }]);
  pipeline.join();
  await pipeline.drained();
  const dry = await outcomeOf(await post('discard', { letters: ['0/0', '0/1'], dryRun: true }));
  expect(dry).toMatchObject({ state: 'done', done: 2 });
  expect((await json('')).counts.total).toBe(3);
  const fields = { do: 'discard', scope: 'selected', letter: ['0/0', '0/1'] };
  expect(await (await submit('dead-letters', fields)).text()).toContain('class="outcome"');
  expect((await json('')).counts.total).toBe(1);
  expect((await json('?state=discarded')).letters).toHaveLength(2);
  expect(await (await submit('letter?id=0/0', { do: 'restore' })).text()).toContain('class="outcome"');
  expect(await outcomeOf(await post('discard', { letters: ['0/1'], undo: true }))).toMatchObject({ done: 1 });
  expect((await json('')).counts.total).toBe(3);
});

testOnKafka(
  'a change of all that match is for the letters that are listed, in the number that is shown, and refused for other states',
  async () => {
    await using console = await openLetterConsole();
    const { pipeline, json, post, submit, get } = console;
    await pipeline.send(
      Array.from({ length: 5 }, (_, n) => messageOf({ ...german, order_uid: `letter-uid-${n}` })),
    );
    pipeline.join();
    await pipeline.drained();
    const value = JSON.stringify({ ...order, order_uid: 'letter-uid-0' });
    expect(await outcomeOf(await post('redrive', { letters: ['0/0'], value }))).toMatchObject({ done: 1 });
    expect(await outcomeOf(await post('discard', { letters: ['0/1'] }))).toMatchObject({ done: 1 });

    const states = async () => {
      const { letters } = await json('?state=all');
      return letters.map(({ state }: { state: string }) => state).sort();
    };
    const before = ['discarded', 'open', 'open', 'open', 'redriven'];
    expect(await states()).toEqual(before);
    const pageOf = async (state: string) =>
      (await get(`/console/dead-letters?state=${state}`, { cookie: 'lang=en' })).text();
    const offered = async (state: string) => {
      const html = await pageOf(state);
      return [
        [...html.matchAll(/name="do" value="(\w+)"/g)].map(([, action]) => action),
        html.match(/all that match, (\d+)/)?.[1],
      ];
    };
    expect(await offered('open')).toEqual([['try', 'redrive', 'discard'], '3']);
    expect(await offered('discarded')).toEqual([['restore'], '1']);
    expect(await offered('all')).toEqual([['try', 'redrive', 'discard'], undefined]);
    expect(await offered('redriven')).toEqual([[], undefined]);

    const fits: Record<string, string> = {
      redrive: 'open',
      try: 'open',
      discard: 'open',
      restore: 'discarded',
    };
    for (const [action, fitting] of Object.entries(fits))
      for (const state of ['open', 'redriven', 'discarded', 'all', 'gone'].filter((one) => one !== fitting)) {
        const response = await submit('dead-letters', { do: action, scope: 'all', state });
        expect([action, state, response.status]).toEqual([action, state, 400]);
        if (state !== 'gone')
          expect(await response.text()).toContain(`«${fitting === 'open' ? 'ожидает' : 'отклонено'}»`);
      }
    const selected = { do: 'discard', scope: 'selected', letter: '0/2', state: 'redriven' };
    expect((await submit('dead-letters', selected)).status).toBe(400);
    const body = { filter: { state: 'redriven' } };
    for (const action of ['redrive', 'discard'])
      expect((await (await post(action, body)).json()).detail).toContain('wrong at /filter/state');
    expect(await states()).toEqual(before);

    const discarded = await submit('dead-letters', { do: 'discard', scope: 'all', state: 'open' });
    expect(await discarded.text()).toContain('Отклонено: 3.');
    expect(await states()).toEqual(['discarded', 'discarded', 'discarded', 'discarded', 'redriven']);
    expect(await offered('discarded')).toEqual([['restore'], '4']);
    const restored = await submit('dead-letters', { do: 'restore', scope: 'all', state: 'discarded' });
    expect(await restored.text()).toContain('Возвращено: 4.');
  },
);

testOnKafka(
  'of a letter of a megabyte or of bytes a part is shown, and in words that it cannot be edited; deep JSON can',
  async () => {
    await using console = await openLetterConsole();
    const { pipeline, get, json, post } = console;
    const long = JSON.stringify({ ...german, internal_signature: '<b>long</b>'.repeat(80_000) });
    const values = [
      long,
      Buffer.from([0xff, 0xfe, 0, 0x1b, 0x3c]),
      '['.repeat(20_000),
      `"${'x'.repeat(40_958)}"`,
      `"${'x'.repeat(40_959)}"`,
    ];
    await pipeline.send(values.map((value, n) => ({ key: `k${n}`, value })));
    pipeline.join();
    await pipeline.drained();
    const pageOf = async (n: number) => {
      const response = await get(`/console/letter?id=0/${n}`, { cookie: 'lang=en' });
      expect(response.status).toBe(200);
      return response.text();
    };
    const notEditable = 'A value of more than 40 kB, or one that is not text, cannot be edited here.';
    const isCut = 'The value is longer than what is shown.';
    const pages = await Promise.all(values.map((_, n) => pageOf(n)));
    expect(pages.map((page) => page.includes(notEditable))).toEqual([true, true, false, false, true]);
    expect(pages.map((page) => page.includes('<textarea'))).toEqual([false, false, true, true, false]);
    expect(pages.map((page) => page.includes(isCut))).toEqual([true, false, false, false, false]);
    for (const page of pages) {
      expect(page.length).toBeLessThan(400_000);
      expect(page).not.toContain('<b>');
    }
    expect(pages[1]).toContain('\\xff\\xfe');
    const list = await get('/console/dead-letters', { cookie: 'lang=en' });
    expect((await list.text()).length).toBeLessThan(100_000);
    expect((await json('')).counts.total).toBe(values.length);
    // What cannot be edited can be sent again, changed by a patch.
    const fix = [
      { op: 'replace', path: '/internal_signature', value: '' },
      { op: 'replace', path: '/locale', value: 'en' },
      { op: 'replace', path: '/payment/amount', value: 1 },
    ];
    const sent = await outcomeOf(await post('redrive', { letters: ['0/0'], fix }));
    expect(sent).toMatchObject({ done: 1, skipped: 0 });
  },
);

testOnKafka('to close the connection cancels a change, and the log says how far it came', async () => {
  await using console = await openLetterConsole();
  const { pipeline, json, post, lines } = console;
  await pipeline.send(Array.from({ length: 2_000 }, (_, n) => ({ key: `k${n}`, value: '{}'.padEnd(2_000) })));
  pipeline.join();
  await pipeline.drained();
  const response = await post('discard', { filter: {} });
  await response.body?.cancel();
  const { line } = await until(() => lines.find(({ line: { action } }) => action === 'discard'), 30_000);
  expect(line).toMatchObject({ operator: 'anna', state: 'cancelled' });
  const left = (await json('?limit=1')).counts.total;
  expect(left).toBe(2_000 - Number(line.done));
  expect(left).toBeGreaterThan(0);
});

test.each([
  ['?stage=nothing', 'stage is not allowed; allowed: parse, validate, store.'],
  ['?since=yesterday', 'since is not allowed; allowed: a time ago'],
  ['?state=gone', 'state is not allowed; allowed: open, redriven, discarded, all.'],
  ['?limit=0', 'limit is not allowed; allowed: an integer from 1 to 200.'],
  ['?cursor=1', 'cursor is not allowed'],
  ['?cursor=', 'cursor is not allowed'],
  ['?until=', 'until is not allowed; allowed: a time ago'],
  ['/letter', 'letter is not allowed; allowed: PARTITION/OFFSET, such as 3/17.'],
])('the query %s is a problem that says: %s', async (query, detail) => {
  const { get } = openConsole();
  const response = await get(`/console/api/dead-letters${query}`);
  expect([response.status, (await response.json()).detail]).toEqual([400, expect.stringContaining(detail)]);
});

test.each([
  ['redrive', 'no JSON', 'The body is not JSON.'],
  ['redrive', {}, 'The body names no letters'],
  ['discard', { dryRun: true }, 'The body names no letters'],
  ['discard', { letters: ['x'] }, 'The body is wrong at /letters/0'],
  ['redrive', { filter: {}, unknown: 1 }, 'The body is wrong at /unknown'],
  ['redrive', { filter: { stage: 'x' } }, 'The body is wrong at /filter/stage'],
  ['redrive', { filter: {}, value: '{}' }, '"value" needs one letter'],
  [
    'redrive',
    { filter: {}, fix: [{ op: 'replace', path: '/a' }] },
    'fix has an invalid operation in place 1',
  ],
  ['redrive', { filter: {}, fix: [{ op: 'add', path: '/__proto__/a', value: 1 }] }, 'none names a prototype'],
])('the body of %s with %j is a problem that says: %s', async (path, body, detail) => {
  const { ask } = openConsole();
  const response = await ask(`/console/api/dead-letters/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${anna.token}` },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  expect([response.status, (await response.json()).detail]).toEqual([400, expect.stringContaining(detail)]);
});

test('a session may change letters from the console’s own pages', async () => {
  const { ask } = openConsole();
  const login = await ask('/console/login', {
    method: 'POST',
    body: new URLSearchParams({ token: anna.token }),
  });
  const send = (site: Record<string, string>) =>
    ask('/console/api/dead-letters/discard', {
      method: 'POST',
      body: '{}',
      headers: { cookie: cookieOf(login), ...site },
    });
  expect((await send({ 'sec-fetch-site': 'same-origin' })).status).toBe(400);
  expect((await send({ origin: 'http://localhost' })).status).toBe(400);
  expect((await send({})).status).toBe(403);
});
