import { columnLengths, defaultRules } from '../order/rules.ts';
import { searchFieldNames } from '../postgres/search.ts';
import { extraAuthorities, pemFile } from './tls-files.ts';
import {
  brokers,
  databaseUrl,
  flag,
  halves,
  hostNames,
  integer,
  kafkaName,
  names,
  oneOf,
  operators,
  optional,
  path,
  redisUrl,
  share,
  someOf,
  text,
  token,
  trackPattern,
  url,
} from './values.ts';

/** The settings: what each is for, its default, and how its text is read. */

export type Setting<T> = {
  variable: string;
  description: string;
  /** The values that the variable may have, in words. */
  allowed: string;
  /** Its value when it is unset or empty. */
  default: string;
  /** The value, or undefined if the text is not allowed. */
  read: (text: string) => T | undefined;
  /** Of a text that is not allowed: which part is wrong, and what is allowed for it. Undefined if nothing can be said. */
  fault?: (text: string) => string | undefined;
  /** Never shown in an error: it may contain a password. */
  secret?: true;
};

const define = <T>(setting: Setting<T>) => setting;

export const settings = {
  port: define({ variable: 'PORT', default: '8081', ...integer(0, 65_535), description: 'HTTP port' }),
  host: define({
    variable: 'HOST',
    default: '127.0.0.1',
    ...text,
    description: 'address that HTTP listens on; 0.0.0.0: all addresses',
  }),
  allowedHosts: define({
    variable: 'ALLOWED_HOSTS',
    ...optional(hostNames),
    description:
      'host names that requests may be addressed to; localhost and IP addresses are always allowed; unset: any name, but if Kafka or PostgreSQL is embedded and HOST is a loopback address, only localhost and loopback addresses',
  }),
  basePath: define({
    variable: 'BASE_PATH',
    default: '',
    ...path,
    description: 'path below which a reverse proxy serves the page and the API; unset: the root',
  }),
  publicUrl: define({
    variable: 'PUBLIC_URL',
    ...optional(url('http:', 'https:')),
    description: 'address of the page in the log line at the start; unset: where HTTP listens',
  }),
  metricsPort: define({
    variable: 'METRICS_PORT',
    ...optional(integer(0, 65_535)),
    description: 'port for /metrics alone, which PORT then does not serve; unset: PORT serves it',
  }),
  metricsHost: define({
    variable: 'METRICS_HOST',
    ...optional(text),
    description: 'address that METRICS_PORT listens on; unset: the same as HOST',
  }),
  metricsToken: define({
    variable: 'METRICS_TOKEN',
    ...optional(token),
    secret: true,
    description: 'bearer token that /metrics requires (`Authorization: Bearer …`); unset: no authentication',
  }),
  consoleTokens: define({
    variable: 'CONSOLE_TOKENS',
    ...optional(operators),
    secret: true,
    description:
      'operators who may use the console at /console, each with a token: anna:TOKEN,boris:TOKEN; unset: no console, but if Kafka or PostgreSQL is embedded and HOST is a loopback address, one for this machine, with a random token in the banner at the start',
  }),
  consoleSearch: define({
    variable: 'CONSOLE_SEARCH',
    ...optional(someOf(...searchFieldNames)),
    description:
      'fields that the console finds orders by, beside their numbers; each needs an index, which is made in the background, and dropped when it is no longer named; unset: all while PostgreSQL is embedded, otherwise track,customer',
  }),
  brokers: define({
    variable: 'KAFKA_BROKERS',
    ...optional(brokers),
    description:
      'Kafka; unset: an embedded broker on 127.0.0.1:9092, which is sent fake orders while PostgreSQL is embedded too',
  }),
  topic: define({
    variable: 'KAFKA_TOPIC',
    default: 'orders',
    ...kafkaName,
    description: 'topic that orders are read from',
  }),
  deadLetterTopic: define({
    variable: 'KAFKA_DLQ_TOPIC',
    default: 'orders_dlq',
    ...kafkaName,
    description: 'dead-letter topic',
  }),
  letterRetentionDays: define({
    variable: 'DLQ_RETENTION_DAYS',
    ...optional(integer(1, 36_500)),
    description: 'days after which Kafka deletes dead letters, which hold personal data; unset: never',
  }),
  tombstones: define({
    variable: 'KAFKA_TOMBSTONES',
    default: 'dead-letter',
    ...oneOf('dead-letter', 'skip'),
    description: 'what a message without a value (a tombstone) becomes: a dead letter, or nothing',
  }),
  groupId: define({
    variable: 'KAFKA_GROUP_ID',
    ...optional(kafkaName),
    description:
      'consumer group; unset: order-consumers, or, while only one of Kafka and PostgreSQL is embedded, a group of its own, whose name is kept in DATA_DIR',
  }),
  partitions: define({
    variable: 'KAFKA_PARTITIONS',
    default: '8',
    ...integer(1, 10_000),
    description: 'number of partitions when the program creates a topic',
  }),
  maxBatchBytes: define({
    variable: 'KAFKA_MAX_BATCH_BYTES',
    ...optional(integer(1_048_576, 1_073_741_824)),
    description:
      'maximum size of a record batch after decompression, in bytes; a larger one becomes a dead letter without a value; unset: 16 times max.message.bytes of the topic',
  }),
  currencies: define({
    variable: 'ORDER_CURRENCIES',
    default: defaultRules.currencies.join(','),
    ...names(columnLengths.currency),
    description: 'currencies that orders may have',
  }),
  providers: define({
    variable: 'ORDER_PROVIDERS',
    default: defaultRules.providers.join(','),
    ...names(columnLengths.provider),
    description: 'payment providers that orders may have',
  }),
  locales: define({
    variable: 'ORDER_LOCALES',
    default: defaultRules.locales.join(','),
    ...names(columnLengths.locale),
    description: 'locales that orders may have',
  }),
  trackPattern: define({
    variable: 'TRACK_PATTERN',
    default: defaultRules.trackPattern,
    ...trackPattern,
    description: 'pattern of the track numbers of orders and items',
  }),
  freeItems: define({
    variable: 'ORDER_FREE_ITEMS',
    default: `${defaultRules.freeItems}`,
    ...flag,
    description:
      'whether items may be free: price and total_price of items, goods_total and amount of payments may be 0',
  }),
  retentionDays: define({
    variable: 'ORDER_RETENTION_DAYS',
    ...optional(integer(1, 36_500)),
    description:
      'days after its date_created that an order is kept; older ones are deleted, and refused when they arrive; the same in all processes; unset: orders are kept forever',
  }),
  kafkaSsl: define({ variable: 'KAFKA_SSL', default: 'false', ...flag, description: 'TLS to Kafka' }),
  kafkaCertificate: define({
    variable: 'KAFKA_SSL_CERT',
    ...optional(pemFile),
    description: 'client certificate for Kafka',
  }),
  kafkaKey: define({
    variable: 'KAFKA_SSL_KEY',
    ...optional(pemFile),
    description: 'private key of KAFKA_SSL_CERT',
  }),
  saslMechanism: define({
    variable: 'KAFKA_SASL_MECHANISM',
    ...optional(oneOf('plain', 'scram-sha-256', 'scram-sha-512')),
    description: 'SASL mechanism of the login to Kafka; unset: no login',
  }),
  saslUsername: define({
    variable: 'KAFKA_SASL_USERNAME',
    default: '',
    ...text,
    description: 'user of the login to Kafka',
  }),
  saslPassword: define({
    variable: 'KAFKA_SASL_PASSWORD',
    default: '',
    ...text,
    secret: true,
    description: 'password of the login to Kafka',
  }),
  authorities: define({
    variable: 'NODE_EXTRA_CA_CERTS',
    ...optional(extraAuthorities),
    description: 'certificate authorities to trust for Kafka, PostgreSQL and Redis, besides the public ones',
  }),
  databaseUrl: define({
    variable: 'DATABASE_URL',
    ...optional(databaseUrl),
    secret: true,
    description: 'PostgreSQL; unset: an embedded one in DATA_DIR',
  }),
  databasePassword: define({
    variable: 'DATABASE_PASSWORD',
    default: '',
    ...text,
    secret: true,
    description:
      'password for a DATABASE_URL or DATABASE_READ_URL that has none; plain text, not percent-encoded',
  }),
  databaseReadUrl: define({
    variable: 'DATABASE_READ_URL',
    ...optional(databaseUrl),
    secret: true,
    description:
      'standby of PostgreSQL for lookups; orders that it does not have yet, and all orders while it is down, are read from DATABASE_URL',
  }),
  databasePool: define({
    variable: 'DATABASE_POOL',
    default: '10',
    ...integer(1, 1000),
    description:
      'connections to PostgreSQL for each thread: one thread serves HTTP, and every consumer is one',
  }),
  redisUrl: define({
    variable: 'REDIS_URL',
    ...optional(redisUrl),
    secret: true,
    description:
      'Redis, a Redis Cluster, or Redis with Sentinels: a cache that replicas share; unset: the cache is in memory only',
  }),
  cacheLimit: define({
    variable: 'CACHE_LIMIT',
    default: '1000',
    ...integer(1, 1_000_000),
    description: 'orders in each tier of the cache',
  }),
  warmUpConcurrency: define({
    variable: 'WARMUP_CONCURRENCY',
    default: '50',
    ...integer(1, 1000),
    description: 'orders that are loaded at once when the cache is filled at the start',
  }),
  dataDir: define({
    variable: 'DATA_DIR',
    default: '.data',
    ...text,
    description: 'directory for the data of the embedded services',
  }),
  logLevel: define({
    variable: 'LOG_LEVEL',
    default: 'info',
    ...oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    description: 'lowest level that is logged',
  }),
  otlpEndpoint: define({
    variable: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    ...optional(url('http:', 'https:')),
    description: 'OpenTelemetry collector for traces (OTLP over HTTP); unset: no traces',
  }),
  tracesSampler: define({
    variable: 'OTEL_TRACES_SAMPLER',
    default: 'parentbased_always_on',
    ...oneOf(
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ),
    description: 'which traces are kept',
  }),
  tracesSamplerShare: define({
    variable: 'OTEL_TRACES_SAMPLER_ARG',
    default: '1',
    ...share,
    description: 'share of traces that the traceidratio samplers keep',
  }),
  liveFeed: define({
    variable: 'LIVE_FEED',
    ...optional(flag),
    description:
      'live list of the newest orders, on the page and at /events; unset: only while Kafka is embedded',
  }),
  rateLimit: define({
    variable: 'RATE_LIMIT',
    default: '6000',
    ...integer(0, 1_000_000),
    description: 'requests per minute for each client, and the size of a burst; 0: no limit',
  }),
  trustedProxies: define({
    variable: 'TRUSTED_PROXIES',
    default: '0',
    ...integer(0, 10),
    description:
      'number of reverse proxies in front, each of which appends to X-Forwarded-For; 0: the client is the address of the connection',
  }),
  consumers: define({
    variable: 'CONSUMERS',
    default: '1',
    ...integer(1, 64),
    description: 'consumer threads in this process',
  }),
  serve: define({
    variable: 'SERVE',
    default: 'http,consumer',
    ...halves,
    description:
      'which parts run in this process: the HTTP server, the consumer, or both; without http, PORT answers only /healthz, /readyz and /metrics',
  }),
  stopDelay: define({
    variable: 'STOP_DELAY',
    default: '5',
    ...integer(0, 300),
    description:
      'seconds after SIGTERM in which lookups still work while /readyz answers 503, so that a load balancer notices; SIGINT (Ctrl-C) has no delay',
  }),
};

type Value<S> = S extends Setting<infer T> ? T : never;
export type Config = { [Name in keyof typeof settings]: Value<(typeof settings)[Name]> };
