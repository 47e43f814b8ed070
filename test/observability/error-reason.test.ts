import { expect, test } from 'bun:test';
import { timeoutError } from '../../src/async/timeouts.ts';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';
import { recordingLog } from '../support/recording-log.ts';
import { until } from '../support/until.ts';

const failure = (fields: object, message = 'user "anna" of db.internal with pa55') =>
  Object.assign(new Error(message), fields);

test.each([
  [{ code: 'ECONNREFUSED' }, 'connection refused (ECONNREFUSED)'],
  [{ code: 'ENOTFOUND' }, 'host name not found (ENOTFOUND)'],
  [
    { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    'its certificate is for another host name (ERR_TLS_CERT_ALTNAME_INVALID)',
  ],
  [
    { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
    'its certificate is not from a trusted authority (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
  ],
  [{ code: 'CERT_HAS_EXPIRED' }, 'its certificate has expired or is not valid yet (CERT_HAS_EXPIRED)'],
  [{ name: 'PostgresError', code: '28P01' }, 'authentication failed (28P01)'],
  [{ name: 'PostgresError', code: '42501' }, 'permission denied (42501)'],
  [{ name: 'KafkaJSSASLAuthenticationError' }, 'authentication failed'],
  [{ type: 'TOPIC_AUTHORIZATION_FAILED', code: 29 }, 'permission denied (TOPIC_AUTHORIZATION_FAILED)'],
  [
    { name: 'KafkaJSNumberOfRetriesExceeded', cause: failure({ code: 'ECONNRESET' }) },
    'connection closed (ECONNRESET)',
  ],
  [{ name: 'anna' }, 'unexpected error'],
  [
    { name: 'PostgresError', code: '57014' },
    'PostgreSQL cancelled the query, as after its statement_timeout (57014)',
  ],
  [{ name: 'PostgresError', code: '57P01' }, 'starting up or shutting down (57P01)'],
  [{ name: 'PostgresError', code: '57P03' }, 'starting up or shutting down (57P03)'],
  [{ name: 'PostgresError', code: '25006' }, 'it is read-only (25006)'],
  [{ code: 'CONNECTION_CLOSED' }, 'connection closed (CONNECTION_CLOSED)'],
  [{ code: 'ANSWER_TIMEOUT' }, 'no answer in time (ANSWER_TIMEOUT)'],
  [
    { name: 'PostgresError', code: '55P03' },
    'PostgreSQL cancelled the query, as after its lock_timeout (55P03)',
  ],
  [{ code: 'ERR_STREAM_WRITE_AFTER_END' }, 'connection closed (ERR_STREAM_WRITE_AFTER_END)'],
  [{ type: 'UNKNOWN_TOPIC_OR_PARTITION' }, 'topic does not exist (UNKNOWN_TOPIC_OR_PARTITION)'],
  [{ name: 'KafkaJSGroupCoordinatorNotFound' }, 'group coordinator not available'],
  [{ name: 'KafkaJSMetadataNotLoaded' }, 'the leaders of its partitions are not known'],
  [{ name: 'KafkaJSBrokerNotFound' }, 'no broker answers'],
  [{ name: 'KafkaJSBrokerNotFound', code: 'LEADER_NOT_AVAILABLE' }, 'no leader (LEADER_NOT_AVAILABLE)'],
  [{ type: 'NOT_ENOUGH_REPLICAS' }, 'too few in-sync replicas (NOT_ENOUGH_REPLICAS)'],
])('the reason of %j quotes nothing of the error', (fields, reason) => {
  expect(reasonOf(failure(fields))).toBe(reason);
});

test.each([
  ['08006', 'connection closed'],
  ['08001', 'connection refused'],
  ['25006', 'it is read-only'],
  ['28000', 'authentication failed'],
  ['3D000', 'database does not exist'],
  ['40001', 'serialization failure'],
  ['40P01', 'deadlock'],
  ['40003', 'transaction rolled back'],
  ['42501', 'permission denied'],
  ['53000', 'insufficient resources'],
  ['53100', 'disk full'],
  ['53200', 'out of memory'],
  ['53300', 'too many connections'],
  ['54000', 'a limit of PostgreSQL is exceeded'],
  ['55000', 'object not in the required state'],
  ['55006', 'object in use'],
  ['57P02', 'starting up or shutting down'],
  ['57P04', 'database was dropped'],
  ['58030', 'disk error'],
  ['58000', 'system error'],
  ['XX000', 'internal error of PostgreSQL'],
  ['XX001', 'data corrupted'],
])('the SQLSTATE %s has a reason: %s', (code, reason) => {
  expect(reasonOf(failure({ name: 'PostgresError', code }))).toBe(`${reason} (${code})`);
});

test('a SQLSTATE that PostgreSQL itself raises has its reason', async () => {
  await using database = await testDatabase({ connections: 2 });
  const { sql } = database;
  await sql`create table counters (id int primary key, n int); insert into counters values (1, 0)`.simple();
  const conflict = sql.begin('isolation level repeatable read', async (transaction) => {
    await transaction`select from counters`;
    await sql`update counters set n = n + 1`;
    await transaction`update counters set n = n + 1`;
  });
  expect(reasonOf(await conflict.catch((error: unknown) => error))).toBe('serialization failure (40001)');
});

test.each([
  ['WRONGPASS invalid username-password pair', 'authentication failed (WRONGPASS)'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'out of memory (OOM)'],
  ['MOVED 5798 10.0.0.7:6379', 'unexpected error (MOVED)'],
])('the reason has only the code of a Redis reply: %s', (message, reason) => {
  expect(reasonOf(failure({ name: 'ReplyError', command: { args: ['pa55'] } }, message))).toBe(reason);
});

test.each([
  [
    { name: 'PostgresError', code: '22P02' },
    'invalid input syntax: "statement_timeout is closed"',
    'unexpected error (22P02)',
  ],
  [{ name: 'PostgresError', code: '23514' }, 'the city "Timed Out" is refused', 'unexpected error (23514)'],
  [{ name: 'ReplyError' }, 'ERR the key "timeout" is closed', 'unexpected error (ERR)'],
  [{}, 'Command timed out', 'no answer in time'],
  [{}, 'Connection is closed.', 'connection closed'],
  [{}, 'No broker available', 'no broker answers'],
])('the message decides only for an error without a code: %j %s', (fields, message, reason) => {
  expect(reasonOf(failure(fields, message))).toBe(reason);
});

test('a timeout of our own has a reason by its name', () => {
  const error = timeoutError(1_500);
  expect([error.message, reasonOf(error)]).toEqual(['no answer within 1500 ms', 'no answer in time']);
});

test('an unavailable service is probed every second, and is available as soon as a probe succeeds', async () => {
  const { log, texts } = recordingLog();
  let isAway = true;
  let probes = 0;
  const state = createServiceState('PostgreSQL', log, {
    probe: async () => {
      probes++;
      if (isAway) state.markDown(failure({ code: 'ECONNREFUSED' }));
      else state.markUp();
    },
  });
  state.markDown(failure({ code: 'ECONNREFUSED' }));
  await until(() => probes === 2);
  expect(state.reason()).toBeString();
  isAway = false;
  await until(() => state.reason() === undefined);
  expect(texts()).toEqual(['PostgreSQL is unavailable; retrying', 'PostgreSQL is available again']);
  expect(probes).toBe(3);
  state.close();
});

test('whatever is thrown has a reason', () => {
  const loop = new Error('loop');
  loop.cause = loop;
  for (const thrown of [undefined, null, 'pa55', 7, {}, loop])
    expect(reasonOf(thrown)).toBe('unexpected error');
});

test("changes of state and new reasons are logged once, and only the log has the driver's message", () => {
  const { log, lines } = recordingLog();
  let changes = 0;
  const state = createServiceState('Kafka', log, { changed: () => changes++ });
  state.markUp();
  const refused = failure({ code: 'ECONNREFUSED' }, 'connect ECONNREFUSED kafka:9092');
  const login = failure({ name: 'KafkaJSSASLAuthenticationError' }, 'no such user');
  for (const error of [refused, refused, login, refused, login]) state.markDown(error);
  expect(state.reason()).toBe('authentication failed');
  expect(state.error()).toBe(login);
  expect(changes).toBe(5);
  state.markUp();
  state.markUp();
  expect(state.reason()).toBeUndefined();
  expect(state.error()).toBeUndefined();
  const reason = 'connection refused (ECONNREFUSED)';
  const service = 'Kafka';
  expect(lines.map(({ level, text, fields }) => [level, text, fields])).toEqual([
    ['warn', 'Kafka is unavailable; retrying', { service, reason, error: 'connect ECONNREFUSED kafka:9092' }],
    [
      'info',
      'Kafka is still unavailable',
      { service, reason: 'authentication failed', error: 'no such user' },
    ],
    ['info', 'Kafka is available again', { service, unavailableSeconds: expect.any(Number) }],
  ]);
});
