import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test';
import { missingPackages } from '../../scripts/services/start.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { hasOpenssl } from '../support/certificates.ts';
import { uniqueName } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { startProgram } from '../support/program.ts';
import { testWith } from '../support/test-with.ts';
import { login, startSecureServices } from '../support/tls-services.ts';
import { until } from '../support/until.ts';

setDefaultTimeout(240_000);

// Once is enough: where the real services are meant. They are started again, as the others speak no TLS.
const isReal = process.env.KAFKA_BROKERS !== undefined && process.env.DATABASE_URL !== undefined;
const has = isReal && hasOpenssl && missingPackages(['kafka', 'postgres', 'redis']).length === 0;
const secureTest = testWith(has, 'real services and openssl');

let services: Awaited<ReturnType<typeof startSecureServices>>;
beforeAll(async () => {
  if (has) services = await startSecureServices();
});
afterAll(async () => {
  if (has) await services[Symbol.asyncDispose]();
});

const kafkaOf = (host: string, mechanism: string, password = login.password) => ({
  KAFKA_BROKERS: `${host}:${services.kafka.sasl}`,
  KAFKA_SSL: 'true',
  KAFKA_SASL_MECHANISM: mechanism,
  KAFKA_SASL_USERNAME: login.username,
  KAFKA_SASL_PASSWORD: password,
});
const databaseOf = (host: string, query: string) => ({
  DATABASE_URL: `${services.databaseUrl.replace('127.0.0.1', host)}${query}`,
});
const redisOf = (host: string, port: string | number = services.redis.port) => ({
  REDIS_URL: `rediss://:${services.redis.password}@${host}:${port}`,
});

/** By name, whether it works, or why not, in a process that trusts this authority. */
const probe = async (authority: string, cases: Record<string, Record<string, string>>) => {
  const program = startProgram({ NODE_EXTRA_CA_CERTS: authority }, [
    'test/support/tls-probe.ts',
    JSON.stringify(cases),
  ]);
  const { output, errors } = await program.ended();
  if (!output) throw new Error(errors);
  return JSON.parse(output);
};

const untrusted = expect.stringMatching(/^its certificate is not from a trusted authority/);
const misnamed = expect.stringMatching(/^its certificate is for another host name/);
/** The client of a cluster does not say why. */
const notReached = expect.stringMatching(/^connection closed/);
/**
 * A server without TLS answers with something else, or resets the connection. A reset that arrives first discards the answer,
 * and then the client knows of nothing but the reset.
 */
const refusedOrReset = expect.stringMatching(/^TLS handshake failed|^connection closed/);
const refused = expect.stringMatching(/^authentication failed/);

secureTest('with the right authority and host name each way of connecting works, encrypted', async () => {
  const { client, kafka, cluster } = services;
  const cases = {
    plain: kafkaOf('localhost', 'plain'),
    scram256: kafkaOf('localhost', 'scram-sha-256'),
    scram512: kafkaOf('localhost', 'scram-sha-512'),
    mutual: {
      KAFKA_BROKERS: `localhost:${kafka.mutual}`,
      KAFKA_SSL: 'true',
      KAFKA_SSL_CERT: client.cert,
      KAFKA_SSL_KEY: client.key,
    },
    full: databaseOf('localhost', '?sslmode=verify-full'),
    authority: databaseOf('127.0.0.1', '?sslmode=verify-ca'),
    encrypted: databaseOf('127.0.0.1', '?sslmode=require'),
    redis: redisOf('localhost'),
    cluster: { REDIS_URL: `rediss-cluster://localhost:${cluster.port}` },
  };
  const all = Object.fromEntries(Object.keys(cases).map((name) => [name, 'works']));
  expect(await probe(services.trusted.cert, cases)).toEqual(all);
  const plaintext = databaseOf('localhost', '');
  expect(await probe(services.trusted.cert, { plaintext })).toEqual({ plaintext: 'works, not encrypted' });
});

secureTest(
  'another host name, a wrong login and a server without TLS are refused, and the reason says so',
  async () => {
    const { kafka, redis, cluster } = services;
    expect(
      await probe(services.trusted.cert, {
        kafkaHost: kafkaOf('127.0.0.1', 'plain'),
        databaseHost: databaseOf('127.0.0.1', '?sslmode=verify-full'),
        redisHost: redisOf('127.0.0.1'),
        clusterHost: { REDIS_URL: `rediss-cluster://127.0.0.1:${cluster.port}` },
        plain: kafkaOf('localhost', 'plain', 'wr0ng'),
        scram: kafkaOf('localhost', 'scram-sha-512', 'wr0ng'),
        noClient: { KAFKA_BROKERS: `localhost:${kafka.mutual}`, KAFKA_SSL: 'true' },
        kafkaPlaintext: { KAFKA_BROKERS: `localhost:${kafka.plain}`, KAFKA_SSL: 'true' },
        databasePlaintext: { DATABASE_URL: `${process.env.DATABASE_URL}?sslmode=require` },
        redisPlaintext: redisOf('localhost', redis.plain),
      }),
    ).toEqual({
      kafkaHost: misnamed,
      databaseHost: misnamed,
      redisHost: misnamed,
      clusterHost: notReached,
      plain: refused,
      scram: refused,
      noClient: expect.stringMatching(/^TLS handshake failed/),
      kafkaPlaintext: refusedOrReset,
      databasePlaintext: refusedOrReset,
      redisPlaintext: expect.stringMatching(/^TLS handshake failed|^no answer in time/),
    });
  },
);

secureTest('another authority is refused, except where only encryption was asked for', async () => {
  const { cluster } = services;
  expect(
    await probe(services.other.cert, {
      kafka: kafkaOf('localhost', 'scram-sha-256'),
      full: databaseOf('localhost', '?sslmode=verify-full'),
      authority: databaseOf('localhost', '?sslmode=verify-ca'),
      encrypted: databaseOf('localhost', '?sslmode=require'),
      redis: redisOf('localhost'),
      cluster: { REDIS_URL: `rediss-cluster://localhost:${cluster.port}` },
    }),
  ).toEqual({
    kafka: untrusted,
    full: untrusted,
    authority: untrusted,
    encrypted: 'works',
    redis: untrusted,
    cluster: notReached,
  });
});

secureTest(
  'the whole program works over TLS, with a Redis that is not whom it claims to be it only gets slower',
  async () => {
    const topic = uniqueName('orders');
    const environment = {
      NODE_EXTRA_CA_CERTS: services.trusted.cert,
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: `${topic}_dlq`,
      KAFKA_GROUP_ID: topic,
      KAFKA_PARTITIONS: '1',
      ...kafkaOf('localhost', 'scram-sha-512'),
      ...databaseOf('localhost', '?sslmode=verify-full'),
      ...redisOf('127.0.0.1'),
    };
    await using program = startProgram(environment);
    const url = await program.url();
    await using producer = startProgram(environment, ['producer.ts', '--count', '1', '--seed', '5']);
    expect(await producer.ended()).toMatchObject({ status: 0, errors: '' });
    const { order_uid } = createOrderMaker({ seed: 5 })();
    await until(async () => (await fetch(`${url}/order/${order_uid}`)).status === 200, 30_000);
    // Not at once on a busy machine, where a handshake may be late.
    const parts = async () => {
      const { status, parts } = await (await fetch(`${url}/readyz`)).json();
      const isMisnamed = /^its certificate is for another host name/.test(parts.redis.reason);
      return [status, parts.postgres.state, parts.kafka.state, isMisnamed];
    };
    await eventually(parts, ['degraded', 'works', 'works', true]);
    const line = await program.said('Redis is unavailable');
    expect(line).toMatchObject({ reason: misnamed, error: expect.stringContaining('127.0.0.1') });
  },
);

secureTest('authorities that Bun has not read stop the start', async () => {
  for (const path of ['/nowhere.pem', import.meta.path]) {
    const { status, errors } = await startProgram({ NODE_EXTRA_CA_CERTS: path }).ended();
    expect(status).toBe(2);
    expect(errors).toContain(`NODE_EXTRA_CA_CERTS holds ${JSON.stringify(path)}; allowed: `);
  }
});
