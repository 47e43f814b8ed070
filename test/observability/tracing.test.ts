import { expect, test } from 'bun:test';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config/read-config.ts';
import { tracingSettings } from '../../src/config/tracing-settings.ts';
import type { App } from '../../src/http/app.ts';
import { createRouteOf } from '../../src/http/request-url.ts';
import { traceApp } from '../../src/http/traced-app.ts';
import type { Log } from '../../src/observability/log.ts';
import { openTracing, type SpanOptions, type Tracing } from '../../src/observability/tracing/tracing.ts';
import { traceStore } from '../../src/postgres/traced-store.ts';
import { buildOrder } from '../support/build-order.ts';
import { startCollector } from '../support/collector.ts';
import { brokers, silent, testDatabase, topicName, until } from '../support/kafka-and-postgres.ts';
import { patientKafkaClient, readTopic } from '../support/pipeline.ts';
import { startProgram } from '../support/program.ts';
import { recordingLog } from '../support/recording-log.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';

const root = join(import.meta.dir, '../..');

const environmentOf = async (databaseUrl: string) => {
  const topic = topicName();
  return {
    KAFKA_BROKERS: (await brokers()).join(','),
    KAFKA_TOPIC: topic,
    KAFKA_DLQ_TOPIC: `${topic}_dlq`,
    KAFKA_GROUP_ID: `${topic}_group`,
    KAFKA_PARTITIONS: '1',
    DATABASE_URL: databaseUrl,
  };
};

/** The headers of another program's span: of trace `trace`, twice eight digits of `span`. */
const headersOf = (trace: string, span: number, flags = '01') => ({
  traceparent: `00-${trace.repeat(32)}-${String(span).padStart(16, '0')}-${flags}`,
});

const open = async (environment: Record<string, string>, log: Log = silent) => {
  const tracing = await openTracing(tracingSettings(readConfig(environment), 'test'), log);
  return tracing as Tracing;
};

test('an order is one trace from the producer through Kafka to SQL; a lookup continues the trace of its request', async () => {
  await using collector = startCollector();
  await using database = await testDatabase();
  await using redis = hasRedisServer ? await startRedisServer() : undefined;
  const services = await environmentOf(database.url);
  const topic = services.KAFKA_TOPIC;
  const environment = {
    ...services,
    ...(redis && { REDIS_URL: redis.url }),
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  };
  await using program = startProgram(environment);
  const url = await program.url();
  await program.said('joined the group', 30_000);

  await using producer = startProgram(environment, ['producer.ts', '--count', '1']);
  expect((await producer.ended()).status).toBe(0);
  const [sent, ...others] = collector.spans();
  expect(others).toEqual([]);
  expect(sent).toMatchObject({
    name: `send ${topic}`,
    kind: 'producer',
    resource: { 'service.name': 'order-producer' },
  });
  const stored = () => database.sql<{ order_uid: string }[]>`select order_uid from orders`;
  const [row] = await until(async () => ((await stored()).length > 0 ? stored() : undefined));
  const uid = row?.order_uid as string;

  // One batch: what was not sampled, two traces, one of them twice, and no trace.
  const kafka = await patientKafkaClient();
  const sender = kafka.producer();
  await sender.connect();
  const value = JSON.stringify(buildOrder());
  const bad = { key: 'bad', value: 'no order' };
  await sender.send({
    topic,
    messages: [
      { ...bad, headers: headersOf('9', 1, '00') },
      { ...bad, headers: { ...headersOf('a', 1), tracestate: 'vendor=1' } },
      { value, headers: headersOf('b', 1) },
      { value, headers: headersOf('b', 1) },
      { ...bad, headers: { traceparent: 'no trace' } },
      bad,
    ],
  });
  await sender.disconnect();
  await until(async () => (await stored()).length === 2);

  const lookup = (trace: string) => fetch(`${url}/order/${uid}`, { headers: headersOf(trace, 2) });
  expect((await lookup('c')).status).toBe(200);
  expect((await lookup('d')).status).toBe(200);
  expect((await fetch(`${url}/?uid=${uid}`, { headers: headersOf('e', 2) })).status).toBe(200);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  expect((await program.stop('SIGTERM')).status).toBe(0);
  expect(program.faults()).toEqual([]);

  const spans = collector.spans();
  const children = (parent: string) => spans.filter((span) => span.parentSpanId === parent);
  const ofTrace = (trace: string) => spans.filter((span) => span.traceId === trace.repeat(32));
  const [processed] = children(sent?.spanId as string);
  expect(processed).toMatchObject({
    name: `process ${topic}`,
    kind: 'consumer',
    traceId: sent?.traceId,
    links: [],
    attributes: {
      'messaging.system': 'kafka',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': '0',
      'messaging.consumer.group.name': services.KAFKA_GROUP_ID,
      'messaging.batch.message_count': 1,
      'orders.stored': 1,
    },
    resource: { 'service.name': 'order-lookup', 'deployment.environment.name': 'test' },
  });
  expect(children(processed?.spanId as string)).toMatchObject([
    {
      name: 'INSERT orders',
      kind: 'client',
      traceId: sent?.traceId,
      attributes: { 'db.system.name': 'postgresql' },
    },
  ]);

  const batch = ofTrace('a').find(({ kind }) => kind === 'consumer');
  expect(batch).toMatchObject({
    parentSpanId: headersOf('a', 1).traceparent.split('-')[2],
    links: [{ traceId: 'b'.repeat(32) }],
    attributes: { 'orders.stored': 1, 'orders.duplicates': 1, 'orders.dead_letters': 4 },
  });
  const names = children(batch?.spanId as string).map(({ name, kind }) => `${kind} ${name}`);
  expect(names).toContain('client INSERT orders');
  expect(names).toContain(`producer send ${topic}_dlq`);
  const letters = await readTopic(services.KAFKA_DLQ_TOPIC);
  expect(letters.map(({ headers }) => headers.traceparent?.toString())).toEqual([
    headersOf('9', 1, '00').traceparent,
    headersOf('a', 1).traceparent,
    'no trace',
    undefined,
  ]);

  const [served] = ofTrace('c').filter(({ kind }) => kind === 'server');
  expect(served).toMatchObject({
    name: 'GET /order/:uid',
    parentSpanId: headersOf('c', 2).traceparent.split('-')[2],
    attributes: {
      'http.route': '/order/:uid',
      'http.request.method': 'GET',
      'http.response.status_code': 200,
    },
  });
  const asked = children(served?.spanId as string).map(({ name }) => name);
  expect(asked.sort()).toEqual(redis ? ['EVALSHA', 'HMGET', 'SELECT orders'] : ['SELECT orders']);
  expect(ofTrace('d')).toMatchObject([
    { attributes: { 'http.response.header.cache-status': ['memory; hit'] } },
  ]);
  expect(ofTrace('e').map(({ name }) => name)).toEqual(['GET /']);
  // Warming the cache and being watched make no traces of their own.
  expect(spans.filter(({ parentSpanId }) => !parentSpanId).map(({ name }) => name)).toEqual([
    `send ${topic}`,
  ]);

  expect(new Set(collector.requests.map(({ path }) => path))).toEqual(new Set(['/v1/traces']));
  expect(collector.requests.every(({ headers }) => headers.get('authorization') === 'Bearer x')).toBe(true);
  // A number gives access to its order: neither it nor anything else of an order is in a trace.
  const [order] =
    await database.sql`select phone, email, address, name from deliveries where order_uid = ${uid}`;
  for (const personal of [uid, ...Object.values(order ?? {})])
    expect(collector.text()).not.toContain(personal);
}, 120_000);

test('without an endpoint the program and its threads do not load OpenTelemetry', async () => {
  await using database = await testDatabase();
  const environment = await environmentOf(database.url);
  // A copy that could not: with every package but OpenTelemetry's. Its API alone, which prom-client loads, is found from there.
  const copy = await mkdtemp(join(tmpdir(), 'untraced-'));
  try {
    await mkdir(join(copy, 'node_modules'));
    for (const name of await readdir(join(root, 'node_modules')))
      if (name !== '@opentelemetry')
        await symlink(join(root, 'node_modules', name), join(copy, 'node_modules', name));
    for (const name of ['src', 'views', 'migrations', 'package.json', 'tsconfig.json', 'producer.ts'])
      await cp(join(root, name), join(copy, name), { recursive: true });

    await using program = startProgram(environment, [join(copy, 'src/main.ts')]);
    // The consumer's thread has begun.
    await program.said('topic created', 30_000);
    const producing = [join(copy, 'producer.ts'), '--count', '1'];
    await using producer = startProgram(environment, producing);
    expect((await producer.ended()).status).toBe(0);
    expect((await program.stop('SIGTERM')).status).toBe(0);

    const traced = { ...environment, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' };
    await using unable = startProgram(traced, producing);
    expect((await unable.ended()).errors).toContain('@opentelemetry/');
  } finally {
    await rm(copy, { recursive: true });
  }
}, 120_000);

const spanOf = (more: Partial<SpanOptions> = {}): SpanOptions => ({
  name: 'work',
  kind: 'consumer',
  attributes: {},
  ...more,
});

test('concurrent work has separate spans; a query outside of a span has none', async () => {
  await using collector = startCollector();
  const tracing = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` });
  const find = async () => {
    await Bun.sleep(1);
    return undefined;
  };
  const store = traceStore(tracing, { find } as never);
  await store.find('nobody asks');
  expect(tracing.ids()).toEqual({});
  expect(tracing.headers()).toBeUndefined();

  const traces = Array.from({ length: 16 }, (_, n) => n.toString(16)).filter((trace) => trace !== '0');
  await Promise.all(
    traces.map((trace) =>
      tracing.span(spanOf({ from: [headersOf(trace, 1)] }), async () => {
        await store.find('first');
        expect(tracing.ids().trace_id).toBe(trace.repeat(32));
        expect(tracing.headers()?.traceparent).toStartWith(`00-${trace.repeat(32)}-`);
        await store.find('second');
      }),
    ),
  );
  await tracing.close();
  const spans = collector.spans();
  expect(spans).toHaveLength(3 * traces.length);
  for (const { traceId, spanId } of spans.filter(({ kind }) => kind === 'consumer')) {
    const children = spans.filter(({ parentSpanId }) => parentSpanId === spanId);
    expect(children.map((child) => child.traceId)).toEqual([traceId, traceId]);
  }
});

test('a log line has the ids of its trace', async () => {
  const script = `
    import { createLog } from './src/observability/log.ts';
    import { openTracing } from './src/observability/tracing/tracing.ts';
    const settings = { endpoint: 'http://127.0.0.1:1', sampler: 'always_on', samplerShare: 1, service: 'test' };
    const tracing = await openTracing(settings, createLog('silent', 'test'));
    const log = createLog('info', 'test', tracing.ids);
    log.info('outside');
    tracing.span({ name: 'work', kind: 'consumer', attributes: {} }, () => log.info(tracing.headers(), 'inside'));
    process.exit();`;
  await using program = startProgram({}, ['-e', script]);
  expect((await program.ended()).status).toBe(0);
  const [outside, inside] = program.lines();
  expect(outside).not.toContainKey('trace_id');
  const { trace_id: trace, span_id: span, traceparent } = inside as Record<string, unknown>;
  expect(traceparent).toBe(`00-${trace}-${span}-01`);
});

test('a batch of many traces has one as its parent and links to a hundred others', async () => {
  await using collector = startCollector();
  const tracing = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  const from = Array.from({ length: 500 }, (_, n) => headersOf('f', n + 1));
  tracing.span(spanOf({ from }), () => {});
  await tracing.close();
  const [span] = collector.spans();
  expect(span?.parentSpanId).toBe('1'.padStart(16, '0'));
  expect(span?.links.map(({ spanId }) => Number(spanId))).toEqual(
    Array.from({ length: 100 }, (_, n) => n + 2),
  );
});

test('a failure is recorded by code or class, without the message, which may quote an order', async () => {
  await using collector = startCollector();
  const tracing = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  const words = 'Key (order_uid)=(secret) exists';
  const refused = Object.assign(new Error(words), { code: '23505', detail: words });
  expect(tracing.span(spanOf(), () => Promise.reject(refused))).rejects.toBe(refused);
  const wrong = new RangeError(words);
  expect(() =>
    tracing.span(spanOf(), () => {
      throw wrong;
    }),
  ).toThrow(wrong);
  await tracing.close();
  expect(
    collector
      .spans()
      .map(({ failed, attributes }) => [failed, attributes['error.type']])
      .sort(),
  ).toEqual([
    [true, '23505'],
    [true, 'RangeError'],
  ]);
  expect(collector.text()).not.toContain('secret');
});

test('a request span is named by method and route; only a server error is a failure', async () => {
  await using collector = startCollector();
  const tracing = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  const answer = (request: Request) =>
    request.url.endsWith('/swagger')
      ? Promise.resolve(new Response(null, { status: 503 }))
      : new Response(null, { status: 404 });
  const paths = new Set(['/order/:uid', '/swagger', '/', '/assets/page.css', '/metrics']);
  const app = traceApp(tracing, { fetch: answer, routeOf: createRouteOf(paths) } as App);
  const ask = (path: string, method = 'GET') => app.fetch(new Request(`http://host${path}`, { method }));
  const asked: [path: string, method?: string][] = [
    ['/order/secret?x=secret', 'HEAD'],
    ['/secret/secret'],
    ['/swagger'],
    ['/assets/page-css', 'PUT'],
    ['/assets/page.css'],
    ['/metrics'],
  ];
  for (const [path, method] of asked) await ask(path, method);
  expect(ask('/')).toBeInstanceOf(Response);
  await tracing.close();
  expect(
    collector
      .spans()
      .map(({ name, failed, attributes }) => [name, attributes['http.response.status_code'], failed]),
  ).toEqual([
    ['HEAD /order/:uid', 404, false],
    ['GET', 404, false],
    ['GET /swagger', 503, true],
    ['PUT', 404, false],
    ['GET /assets/*', 404, false],
    ['GET /', 404, false],
  ]);
  expect(collector.text()).not.toContain('secret');
});

for (const [sampler, share, kept] of [
  ['always_off', '1', []],
  ['traceidratio', '0', []],
  ['always_on', '0', ['root', 'sampled', 'unsampled']],
  ['parentbased_always_off', '1', ['sampled']],
  ['parentbased_traceidratio', '0', ['sampled']],
  ['parentbased_always_on', '0', ['root', 'sampled']],
] as const)
  test(`the sampler ${sampler} of ${share} keeps ${kept.join(', ') || 'nothing'}`, async () => {
    await using collector = startCollector();
    const tracing = await open({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER: sampler,
      OTEL_TRACES_SAMPLER_ARG: share,
    });
    tracing.span(spanOf({ name: 'root' }), () => {});
    tracing.span(spanOf({ name: 'sampled', from: [headersOf('1', 1)] }), () => {});
    tracing.span(spanOf({ name: 'unsampled', from: [headersOf('1', 1, '00')] }), () => {});
    await tracing.close();
    expect(collector.spans().map(({ name }) => name)).toEqual([...kept]);
  });

test('a collector that fails is logged once, and once more when it accepts traces again', async () => {
  let status = 400;
  await using collector = startCollector(() => Response.json({}, { status }));
  const { log, lines, texts } = recordingLog();
  const tracing = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, log);
  // Each time as many as are sent at once.
  const work = () => {
    for (let n = 0; n < 512; n++) tracing.span(spanOf(), () => {});
  };
  for (const requests of [1, 2, 3]) {
    work();
    await until(() => collector.requests.length === requests);
    await until(() => lines.length === 1);
  }
  status = 200;
  work();
  await until(() => lines.length === 2);
  expect(texts()).toEqual(['traces are not delivered', 'traces are delivered again']);
  await tracing.close();
});

test('a collector that does not answer blocks nothing, takes bounded memory, and delays a stop by at most two seconds', async () => {
  const over = Promise.withResolvers<Response>();
  await using collector = startCollector(() => over.promise);
  const { log, lines } = recordingLog();
  const tracing = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, log);
  for (let n = 0; n < 20_000; n++) tracing.span(spanOf(), () => {});
  await until(() => collector.requests.length === 1);
  const begun = performance.now();
  await tracing.close();
  expect(performance.now() - begun).toBeWithin(1_500, 8_000);
  expect(lines).toEqual([
    { level: 'warn', text: 'traces are not delivered', fields: { reason: 'no answer within 2000 ms' } },
  ]);
  over.resolve(Response.json({}));
  expect(collector.spans().length).toBeLessThanOrEqual(512 + 2_048);
});
