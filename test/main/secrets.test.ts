import { expect, setDefaultTimeout, test } from 'bun:test';
import { brokers, testDatabase } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(240_000);

const mark = 'm4rk3d';
const secretsOf = (kafka: string, database: URL, redis: string) => ({
  LOG_LEVEL: 'trace',
  METRICS_TOKEN: `${mark}-token`.padEnd(32, 'x'),
  CONSOLE_TOKENS: `anna:${mark}-console-token`,
  KAFKA_BROKERS: kafka,
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'lookup',
  KAFKA_SASL_PASSWORD: `${mark}-kafka`,
  DATABASE_URL: Object.assign(new URL(database), { username: 'nobody', password: `${mark}-database` }).href,
  REDIS_URL: redis.replace('//', `//:${mark}-redis@`),
});

/** Everything that the program says, also to whoever asks, once these services are known not to work. */
const everythingOf = async (environment: Record<string, string>, services: string[]) => {
  await using program = startProgram(environment);
  const url = await program.url();
  const answers: string[] = [];
  const ask = async (path: string) => {
    const response = await fetch(url + path);
    answers.push(JSON.stringify([...response.headers]), await response.text());
  };
  for (const service of services) await program.said(`${service} is unavailable`, 30_000);
  for (const path of [
    '/readyz',
    '/order/0123456789',
    '/metrics',
    '/',
    '/?uid=0123456789',
    '/nothing',
    '/healthz',
    '/console/',
    '/console/api/overview',
  ])
    await ask(path);
  const { output, errors } = await program.stop('SIGTERM');
  const answered = program.lines().filter(({ msg }) => msg === 'answered');
  expect(answered.length).toBeGreaterThan(0);
  for (const line of answered) expect(line).toMatchObject({ durationMs: expect.any(Number) });
  return [...answers, output, errors].join('\n');
};

testWith(hasRedisServer, 'redis-server')('no output contains a secret, whatever fails', async () => {
  await using database = await testDatabase({ migrated: false });
  await using redis = await startRedisServer({ requirepass: 'another' });
  const own = new URL(database.url);
  const away = new URL('postgres://127.0.0.1:1/orders');
  const [kafka = ''] = await brokers();
  // Kafka is asked once PostgreSQL has its tables.
  const allAway = secretsOf('127.0.0.1:1', away, 'redis://127.0.0.1:1');
  const refusing = secretsOf(kafka, own, redis.url);
  const plaintext = Object.assign(new URL(own), { search: '?sslmode=require' });
  const outputs = await Promise.all([
    everythingOf(allAway, ['PostgreSQL', 'Redis']),
    everythingOf(refusing, ['PostgreSQL', 'Redis']),
    everythingOf(secretsOf(kafka, plaintext, redis.url), ['PostgreSQL']),
    everythingOf({ ...refusing, DATABASE_URL: database.url }, ['Kafka', 'Redis']),
    everythingOf({ ...refusing, DATABASE_URL: database.url, KAFKA_SSL: 'true' }, ['Kafka']),
  ]);
  for (const all of outputs) {
    expect(all).toContain('is unavailable');
    expect(all).not.toContain(mark);
    expect(all).not.toContain(btoa(mark).slice(0, 6));
  }
});

test.each([
  { DATABASE_URL: `postgres://u:${mark}%zz@host/db` },
  { DATABASE_URL: `postgres://u:${mark}@host/db?sslmode=${mark}` },
  { DATABASE_URL: `mysql://u:${mark}@host/db` },
  { REDIS_URL: `redis://u:${mark}%zz@host` },
  { REDIS_URL: `https://u:${mark}@host` },
  { KAFKA_SASL_PASSWORD: mark },
  { METRICS_TOKEN: `${mark} \n` },
])('nor is a bad one: %j', async (environment) => {
  const commands = [['src/main.ts'], ['producer.ts'], ['scripts/migrate.ts']];
  const outputs = await Promise.all(
    commands.map((command) => startProgram({ ...environment, LOG_LEVEL: 'trace' } as never, command).ended()),
  );
  for (const { status, output, errors } of outputs) {
    expect(status).not.toBe(0);
    expect(output + errors).not.toContain(mark);
    expect(errors).not.toBe('');
  }
});
