import { expect, test } from 'bun:test';
import { consumerSettings } from '../../src/config/consumer-settings.ts';
import { kafkaAddress } from '../../src/config/kafka-address.ts';
import { orderRules } from '../../src/config/order-rules.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { settings } from '../../src/config/settings.ts';
import { errorText } from '../../src/observability/error-text.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { type DatabaseAddress, parseDatabaseUrl } from '../../src/postgres/url.ts';
import { makeCertificates } from '../support/certificates.ts';

const errorOf = (environment: Record<string, string>) => {
  try {
    readConfig(environment);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error(`allowed: ${JSON.stringify(environment)}`);
};

test('without settings everything is embedded', () => {
  expect(readConfig({})).toMatchObject({
    port: 8081,
    host: '127.0.0.1',
    brokers: null,
    topic: 'orders',
    deadLetterTopic: 'orders_dlq',
    groupId: null,
    partitions: 8,
    kafkaSsl: false,
    saslMechanism: null,
    databaseUrl: null,
    redisUrl: null,
    cacheLimit: 1000,
    warmUpConcurrency: 50,
    dataDir: '.data',
    logLevel: 'info',
    otlpEndpoint: null,
    tracesSampler: 'parentbased_always_on',
    tracesSamplerShare: 1,
    liveFeed: null,
    consumers: 1,
    serve: new Set(['http', 'consumer']),
  });
});

test('an empty variable counts as unset', () => {
  const empty = Object.fromEntries(Object.values(settings).map(({ variable }) => [variable, '']));
  expect(readConfig(empty)).toEqual(readConfig({}));
});

test('settings are read from the environment', () => {
  expect(
    readConfig({
      PORT: '0',
      KAFKA_BROKERS: 'one:9092, two.example.com:65535',
      KAFKA_TOPIC: 'Orders.v2_x-y',
      KAFKA_SSL: 'true',
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_SASL_USERNAME: 'lookup',
      KAFKA_SASL_PASSWORD: ' with spaces ',
      DATABASE_URL: 'postgres://u:p@host/db',
      ALLOWED_HOSTS: 'Orders.example.org, *.internal,10.0.0.1',
      LIVE_FEED: 'false',
      SERVE: 'http',
      CONSUMERS: '64',
      LOG_LEVEL: 'silent',
      ORDER_CURRENCIES: 'USD, CNY,USDT',
      ORDER_PROVIDERS: 'my-pay.v2',
      ORDER_LOCALES: 'en,zh-Hant_TW',
      TRACK_PATTERN: '^[A-Z0-9-]{8,40}$',
      ORDER_FREE_ITEMS: 'true',
    }),
  ).toMatchObject({
    port: 0,
    brokers: ['one:9092', 'two.example.com:65535'],
    topic: 'Orders.v2_x-y',
    kafkaSsl: true,
    saslMechanism: 'scram-sha-512',
    saslPassword: ' with spaces ',
    databaseUrl: 'postgres://u:p@host/db',
    allowedHosts: ['orders.example.org', '*.internal', '10.0.0.1'],
    liveFeed: false,
    serve: new Set(['http']),
    consumers: 64,
    logLevel: 'silent',
    currencies: ['USD', 'CNY', 'USDT'],
    providers: ['my-pay.v2'],
    locales: ['en', 'zh-Hant_TW'],
    trackPattern: '^[A-Z0-9-]{8,40}$',
    freeItems: true,
  });
});

test('the rules of orders are the default ones, and a consumer thread and the commands get those of the settings', () => {
  expect(orderRules(readConfig({}))).toEqual(defaultRules);
  const rules = orderRules(readConfig({ ORDER_CURRENCIES: 'CNY', TRACK_PATTERN: '^.+$' }));
  expect(rules).toEqual({ ...defaultRules, currencies: ['CNY'], trackPattern: '^.+$' });
  const config = readConfig({ ORDER_CURRENCIES: 'CNY', TRACK_PATTERN: '^.+$' });
  const settings = consumerSettings(
    config,
    { brokers: ['a:1'], groupId: 'group', databaseUrl: 'postgres://u@h/d' },
    1,
  );
  expect(structuredClone(settings).rules).toEqual(rules);
});

test.each([
  ['PORT', ['-1', '65536', '1.5', '1e3', '0x10', ' 80', '80 ', 'http', '9'.repeat(400), '٨٠']],
  [
    'KAFKA_BROKERS',
    [
      'host',
      'host:',
      ':9092',
      'host:0',
      'host:65536',
      'kafka://host:9092',
      'a:1,',
      'a:1;b:2',
      'a b:1',
      'u:p@a:1',
    ],
  ],
  ['METRICS_PORT', ['65536', 'none', '8081']],
  ['ORDER_CURRENCIES', [',', 'USD,', 'USD,USD', 'U S', 'РУБ', 'x'.repeat(11), "USD';"]],
  ['ORDER_PROVIDERS', ['x'.repeat(51), 'a;b', '\n']],
  ['ORDER_LOCALES', ['x'.repeat(21), 'en ru']],
  ['TRACK_PATTERN', ['[A-Z]+', '^(A+)+$', '^[A-Z]{51}$', '^[A-Z']],
  ['ORDER_FREE_ITEMS', ['yes', '1']],
  [
    'ALLOWED_HOSTS',
    ['a:80', 'a,,b', 'http://a', '*', '*a', 'a.*.b', 'a b', '.a', 'a..b', `${'a'.repeat(254)}`],
  ],
  ['KAFKA_TOPIC', ['a b', 'имя', '.', '..', 'x'.repeat(250), 'a/b', 'orders\n']],
  ['KAFKA_DLQ_TOPIC', ['a,b', '..', 'orders']],
  ['KAFKA_GROUP_ID', ['a b']],
  ['KAFKA_PARTITIONS', ['0', '10001', 'eight']],
  ['KAFKA_SSL', ['yes', '1', 'TRUE', 'constructor', 'toString', '__proto__']],
  ['KAFKA_SASL_MECHANISM', ['PLAIN', 'oauthbearer']],
  ['KAFKA_SSL_CERT', ['/nowhere.pem', import.meta.path]],
  ['KAFKA_SSL_KEY', ['/nowhere.pem', import.meta.dir]],
  [
    'DATABASE_URL',
    [
      'mysql://host/db',
      'host/db',
      'postgres',
      'postgres://u:half%zz@host/db',
      'postgres://u:12#half@host/db',
      'postgres://u:12?half@host/db',
      'postgres://one,/db',
      'postgres://one,two/db?target_session_attrs=secondary',
      'postgres://host/db?sslmode=prefer',
      'postgres://host/db?sslmode=verify_full',
      'postgres://host/db?sslmode=constructor',
      'postgres://host/db?sslmode=verify-full&sslrootcert=/ca.pem',
      'postgres://host/db?ssl=true',
      'postgres://host/db?channel_binding=require',
      'postgres://host/db?password=secret',
    ],
  ],
  ['DATABASE_POOL', ['0', '1001']],
  [
    'REDIS_URL',
    [
      'http://host',
      'host:6379',
      'redis://u:12#half@host',
      'rediss://host?ssl_cert_reqs=none',
      'redis-cluster://one,two?x',
      'redis-cluster://one,two/1',
      'redis-sentinel://one,two',
      'redis-sentinel://one,two/',
      'redis-sentinel://one,/orders',
      'redis-sentinel://one/orders/x',
      'redis-sentinel://one/orders/1/2',
      'redis-sentinel://one/orders?tls=true',
      'redis-sentinels://one/orders',
    ],
  ],
  ['CACHE_LIMIT', ['0', '-1', '1000001']],
  ['WARMUP_CONCURRENCY', ['0', '1001']],
  ['LOG_LEVEL', ['loud', 'INFO']],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', ['collector:4318', 'grpc://collector', '/v1/traces']],
  ['OTEL_TRACES_SAMPLER', ['all', 'jaeger_remote']],
  ['OTEL_TRACES_SAMPLER_ARG', ['-1', '1.5', '10%', '1e-1', '.']],
  ['LIVE_FEED', ['on', 'valueOf']],
  ['CONSUMERS', ['0', '65']],
  ['SERVE', ['web', 'http,', 'http;consumer']],
])('%s does not hold what it may not, and one line says so', (variable, values) => {
  for (const value of values) {
    const message = errorOf({ [variable]: value });
    expect(message).toMatch(/^[^\r\n]+$/);
    expect(message).toStartWith(`${variable} holds `);
    expect(message).toContain('; allowed: ');
    if (!/URL/.test(variable)) expect(message).toContain(JSON.stringify(value));
  }
});

const login = {
  KAFKA_BROKERS: 'one:9092',
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'lookup',
  KAFKA_SASL_PASSWORD: 'secret',
};
const certificate = { KAFKA_BROKERS: 'one:9092', KAFKA_SSL: 'true', KAFKA_SSL_CERT: '', KAFKA_SSL_KEY: '' };

test.each(['KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'])(
  'a login to Kafka without %s is none, and one line says so',
  (missing) => {
    expect(readConfig(login)).toMatchObject({ saslMechanism: 'plain', saslUsername: 'lookup' });
    expect(errorOf({ ...login, [missing]: '' })).toMatch(
      new RegExp(`^${missing} is not set; KAFKA_SASL_\\w+ needs it$`),
    );
  },
);

test('a certificate for Kafka requires its key, and TLS', async () => {
  await using made = await makeCertificates();
  const own = await made.authority('own');
  const full = { ...certificate, KAFKA_SSL_CERT: own.cert, KAFKA_SSL_KEY: own.key };
  expect(kafkaAddress(readConfig(full), ['one:9092'])).toEqual({
    brokers: ['one:9092'],
    ssl: { cert: await Bun.file(own.cert).text(), key: await Bun.file(own.key).text() },
    sasl: undefined,
  });
  expect(errorOf({ ...full, KAFKA_SSL_KEY: '' })).toBe('KAFKA_SSL_KEY is not set; KAFKA_SSL_CERT needs it');
  expect(errorOf({ ...full, KAFKA_SSL_CERT: '' })).toBe('KAFKA_SSL_CERT is not set; KAFKA_SSL_KEY needs it');
  expect(errorOf({ ...full, KAFKA_SSL: 'false' })).toStartWith('KAFKA_SSL holds "false"; ');
});

test('METRICS_HOST needs METRICS_PORT, since PORT serves the metrics otherwise', () => {
  expect(errorOf({ METRICS_HOST: '127.0.0.1' })).toBe('METRICS_PORT is not set; METRICS_HOST needs it');
  expect(readConfig({ METRICS_HOST: '::1', METRICS_PORT: '9464' })).toMatchObject({
    metricsHost: '::1',
    metricsPort: 9464,
  });
});

test('TLS and logins are rejected for the embedded broker, and verification cannot be switched off', () => {
  expect(errorOf({ KAFKA_SSL: 'true' })).toStartWith('KAFKA_BROKERS is not set; ');
  expect(errorOf({ ...login, KAFKA_BROKERS: '' })).toStartWith('KAFKA_BROKERS is not set; ');
  expect(errorOf({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toStartWith(
    'NODE_TLS_REJECT_UNAUTHORIZED holds "0"; ',
  );
});

test('DATABASE_PASSWORD applies to both servers, unless the URL of the standby has a password', () => {
  const urls = (standby: string) =>
    readConfig({
      DATABASE_URL: 'postgres://u@a/db',
      DATABASE_PASSWORD: 'p@',
      DATABASE_READ_URL: `postgres://${standby}/db`,
    });
  expect(urls('u@b')).toMatchObject({
    databaseUrl: 'postgres://u:p%40@a/db',
    databaseReadUrl: 'postgres://u:p%40@b/db',
  });
  expect(urls('u:own@b').databaseReadUrl).toBe('postgres://u:own@b/db');
});

test('a standby for lookups needs a primary, and orders are not stored on a standby', () => {
  expect(errorOf({ DATABASE_READ_URL: 'postgres://standby/db' })).toBe(
    'DATABASE_URL is not set; DATABASE_READ_URL needs it',
  );
  const onStandby = { DATABASE_URL: 'postgres://u:secret@a,b/db?target_session_attrs=standby' };
  expect(errorOf(onStandby)).toStartWith('DATABASE_URL asks for target_session_attrs=standby; ');
  expect(errorOf(onStandby)).not.toContain('secret');
  expect(readConfig({ ...onStandby, SERVE: 'http' }).serve).toEqual(new Set(['http']));
});

test('the console is searched by the fields that are named, or by none', () => {
  expect(readConfig({}).consoleSearch).toBeNull();
  expect(readConfig({ CONSOLE_SEARCH: 'none' }).consoleSearch).toEqual(new Set());
  expect(readConfig({ CONSOLE_SEARCH: 'phone, nm_id' }).consoleSearch).toEqual(
    new Set(['phone', 'nm_id'] as const),
  );
  expect(errorOf({ CONSOLE_SEARCH: 'phone,name' })).toBe(
    'CONSOLE_SEARCH holds "phone,name"; allowed: track, customer, phone, email, transaction, rid, nm_id, several of them separated by commas, or none',
  );
});

test('operators are names with a token each', () => {
  const tokens = 'anna:anna-has-this-token, boris_2:0123456789abcdef=';
  expect(readConfig({ CONSOLE_TOKENS: tokens }).consoleTokens).toEqual([
    { name: 'anna', token: 'anna-has-this-token' },
    { name: 'boris_2', token: '0123456789abcdef=' },
  ]);
  for (const wrong of [
    'anna',
    'anna:',
    'anna:too-short',
    ':anna-has-this-token',
    'an na:anna-has-this-token',
    'anna:anna has this token',
    'anna:anna-has-this-token,',
    'anna:anna-has-this-token,anna:boris-has-this-token',
    'anna:anna-has-this-token,boris:anna-has-this-token',
  ])
    expect(errorOf({ CONSOLE_TOKENS: wrong })).toStartWith(
      'CONSOLE_TOKENS holds a value that is not shown; allowed: name:token, or several separated by commas',
    );
});

test.each([
  [
    'DATABASE_URL',
    'sslmode=prefer',
    'with a wrong sslmode; allowed: disable, require, verify-ca, verify-full',
  ],
  [
    'DATABASE_READ_URL',
    'target_session_attrs=secondary',
    'with a wrong target_session_attrs; allowed: any, read-write, read-only, primary, standby, prefer-standby',
  ],
  [
    'DATABASE_URL',
    'sslmode=require&sslrootcert=/ca.pem',
    'with the parameter sslrootcert; allowed: sslmode, target_session_attrs, application_name, options',
  ],
  ['REDIS_URL', 'tls=true', 'with the parameter tls; allowed: sentinel_username, sentinel_password'],
])('a URL in %s with %s is refused by the name of the parameter', (variable, query, fault) => {
  const url = variable === 'REDIS_URL' ? 'redis-sentinel://one/orders' : 'postgres://u:hidden@host/db';
  expect(errorOf({ [variable]: `${url}?${query}` })).toBe(
    `${variable} holds a value that is not shown, ${fault}`,
  );
});

test('no message contains a secret', () => {
  for (const [variable, value] of [
    ['DATABASE_URL', 'mysql://user:secret@host/db'],
    ['DATABASE_URL', 'postgres://user:secret%zz@host/db'],
    ['DATABASE_URL', 'postgres://host/db?sslpassword=secret'],
    ['DATABASE_URL', 'postgres://host/db?password=secret'],
    ['DATABASE_URL', 'postgres://user:12?secret@host/db'],
    ['DATABASE_URL', 'postgres://user:12?secret=1@host/db?sslmode=prefer'],
    ['DATABASE_URL', 'postgres://user:12#secret?secret=1'],
    ['REDIS_URL', 'redis://user:12?secret@host'],
    ['REDIS_URL', 'redis-sentinel://one/orders?sentinel_passwort=secret'],
    ['REDIS_URL', 'http://user:secret@host'],
    ['METRICS_TOKEN', 'a secret'],
    ['CONSOLE_TOKENS', 'anna:a secret'],
  ] as const)
    expect(errorOf({ [variable]: value })).not.toContain('secret');
  const secrets = Object.values(settings).filter((setting) => 'secret' in setting);
  expect(secrets.map(({ variable }) => variable).sort()).toEqual([
    'CONSOLE_TOKENS',
    'DATABASE_PASSWORD',
    'DATABASE_READ_URL',
    'DATABASE_URL',
    'KAFKA_SASL_PASSWORD',
    'METRICS_TOKEN',
    'REDIS_URL',
  ]);
});

test('each setting has its own variable, a description and what is allowed', () => {
  const all = Object.values(settings);
  expect(new Set(all.map(({ variable }) => variable)).size).toBe(all.length);
  for (const { variable, description, allowed } of all) {
    expect(variable).toMatch(/^[A-Z_]+$/);
    expect(description).toMatch(/^[^\n]{5,}$/);
    expect(allowed).toMatch(/^[^\n]{5,}$/);
  }
});

test('the error of a secret with a long list of allowed values is printed completely', () => {
  for (const { variable, allowed } of Object.values(settings)) {
    const line = `${variable} holds a value that is not shown; allowed: ${allowed}`;
    expect(errorText(new Error(line))).toBe(line);
  }
});

test('DATABASE_PASSWORD may hold any character, and completes a DATABASE_URL with a user and no password', () => {
  const password = 'p@ss:w/rd?#%41 &"\'ü';
  for (const url of ['postgres://orders@host:5432/db?sslmode=require', 'postgresql://orders@host/db']) {
    const { databaseUrl } = readConfig({ DATABASE_URL: url, DATABASE_PASSWORD: password });
    expect(parseDatabaseUrl(databaseUrl ?? '')).toEqual({
      ...(parseDatabaseUrl(url) as DatabaseAddress),
      password,
    });
  }
  for (const url of ['', 'postgres://host/db', 'postgres://u:p@host/db'])
    expect(errorOf({ DATABASE_URL: url, DATABASE_PASSWORD: 'secret' })).toBe(
      'DATABASE_PASSWORD is set; it needs a DATABASE_URL with a user and without a password',
    );
});

test('BASE_PATH has no trailing slash and no dot segments', () => {
  for (const path of ['', '/lookup', '/a/b.c_d~e-f'])
    expect(readConfig({ BASE_PATH: path }).basePath).toBe(path);
  for (const path of ['lookup', '/', '/lookup/', '//x', '/a/../b', '/.', '/a b', '/a?b', '/ü'])
    expect(errorOf({ BASE_PATH: path })).toStartWith(
      `BASE_PATH holds "${path}"; allowed: a path such as /lookup`,
    );
});

test('a token needs 16 characters; a shorter one stops the start with a line that has the minimum and not the token', () => {
  expect(readConfig({ METRICS_TOKEN: 'abcdefghijklmno1' }).metricsToken).toBe('abcdefghijklmno1');
  const message = errorOf({ METRICS_TOKEN: 'abcdefghijklmno' });
  expect(message).toStartWith('METRICS_TOKEN holds a value that is not shown; allowed: 16 or more');
  expect(message).not.toContain('abcdefghijklmno');
});
