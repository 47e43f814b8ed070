/** Kafka, PostgreSQL and Redis with TLS, for the host name `localhost` and no other; they end with the scope. */
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startKafka } from '../../scripts/services/kafka.ts';
import { keepPort } from '../../scripts/services/port.ts';
import { startPostgres } from '../../scripts/services/postgres.ts';
import { type Certificate, makeCertificates } from './certificates.ts';
import { startRedisServer } from './redis-server.ts';
import { until } from './until.ts';

export const login = { username: 'lookup', password: 'k4fka-pa55' };

const modules = 'org.apache.kafka.common.security';
const scram = `${modules}.scram.ScramLoginModule required;`;

/** A broker with a listener for each way in. */
const startSecureKafka = async (dir: string, server: Certificate, authority: Certificate) => {
  const [inner, control] = [keepPort(dir, 'port'), keepPort(dir, 'controller-port')];
  const [sasl, mutual] = [keepPort(dir, 'sasl-port'), keepPort(dir, 'mutual-port')];
  const keys = join(dir, 'server.pem');
  for (const file of [server.key, server.cert]) await appendFile(keys, await Bun.file(file).text());
  const more = {
    listeners: `PLAINTEXT://127.0.0.1:${inner},CONTROLLER://127.0.0.1:${control},SASL_SSL://127.0.0.1:${sasl},SSL://127.0.0.1:${mutual}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${inner},SASL_SSL://localhost:${sasl},SSL://localhost:${mutual}`,
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keys,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': authority.cert,
    'listener.name.ssl.ssl.client.auth': 'required',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.sasl_ssl.plain.sasl.jaas.config': `${modules}.plain.PlainLoginModule required user_${login.username}="${login.password}";`,
    'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': scram,
    'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': scram,
  };
  const user = `[name=${login.username},password=${login.password}]`;
  const format = ['256', '512'].flatMap((bits) => ['--add-scram', `SCRAM-SHA-${bits}=${user}`]);
  const kafka = await startKafka({ dir, more, format });
  return { plain: inner, sasl, mutual, stop: kafka.stop };
};

export const startSecureServices = async () => {
  await using stack = new AsyncDisposableStack();
  const certificates = stack.use(await makeCertificates());
  const { authority, signed, dir } = certificates;
  const [trusted, other] = [await authority('trusted'), await authority('other')];
  const server = await signed(trusted, 'server', 'DNS:localhost');
  const client = await signed(trusted, 'client', 'DNS:client');
  await mkdir(join(dir, 'kafka'));
  const redisTls = {
    'tls-cert-file': server.cert,
    'tls-key-file': server.key,
    'tls-ca-cert-file': trusted.cert,
    'tls-auth-clients': 'no',
  };
  const clusterTls = {
    ...redisTls,
    'tls-cluster': 'yes',
    'cluster-enabled': 'yes',
    'cluster-announce-hostname': 'localhost',
    'cluster-preferred-endpoint-type': 'hostname',
  };
  const [kafka, postgres, redis, cluster] = await Promise.all([
    startSecureKafka(join(dir, 'kafka'), server, trusted),
    startPostgres({ dir: join(dir, 'postgres'), certificate: server }),
    startRedisServer({ ...redisTls, requirepass: 'r3dis-pa55' }),
    startRedisServer(clusterTls),
  ]);
  stack.defer(kafka.stop);
  stack.defer(postgres.stop);
  stack.use(redis);
  stack.use(cluster);
  await cluster.admin.call('cluster', 'addslotsrange', '0', '16383');
  await until(async () => String(await cluster.admin.call('cluster', 'info')).includes('cluster_state:ok'));
  const moved = stack.move();
  return {
    trusted,
    other,
    client,
    kafka,
    /** Their hosts are 127.0.0.1, for which the certificate is not. */
    databaseUrl: postgres.url,
    redis: { port: redis.tlsPort, plain: redis.port, password: 'r3dis-pa55' },
    cluster: { port: cluster.tlsPort },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
};
