import { expect, test } from 'bun:test';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import { until } from '../support/until.ts';

const failure = (fields: object, message = 'user "anna" of db.internal with pa55') =>
  Object.assign(new Error(message), fields);

test.each([
  [{ code: 'ECONNREFUSED' }, 'connection refused (ECONNREFUSED)'],
  [{ code: 'ENOTFOUND' }, 'its host name is not known (ENOTFOUND)'],
  [
    { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    'its certificate is for another host name (ERR_TLS_CERT_ALTNAME_INVALID)',
  ],
  [
    { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
    'its certificate is not from an authority that is trusted (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
  ],
  [{ code: 'CERT_HAS_EXPIRED' }, 'its certificate is not valid at this time (CERT_HAS_EXPIRED)'],
  [{ name: 'PostgresError', code: '28P01' }, 'it refuses the login (28P01)'],
  [{ name: 'PostgresError', code: '42501' }, 'it refuses a right that is needed (42501)'],
  [{ name: 'KafkaJSSASLAuthenticationError' }, 'it refuses the login'],
  [
    { type: 'TOPIC_AUTHORIZATION_FAILED', code: 29 },
    'it refuses a right that is needed (TOPIC_AUTHORIZATION_FAILED)',
  ],
  [
    { name: 'KafkaJSNumberOfRetriesExceeded', cause: failure({ code: 'ECONNRESET' }) },
    'the connection was closed (ECONNRESET)',
  ],
  [{ name: 'anna' }, 'an error'],
  [{ name: 'PostgresError', code: '57014' }, 'no answer in time (57014)'],
  [{ name: 'PostgresError', code: '25006' }, 'it is read-only (25006)'],
  [{ code: 'CONNECTION_CLOSED' }, 'the connection was closed (CONNECTION_CLOSED)'],
  [{ code: 'ANSWER_TIMEOUT' }, 'no answer in time (ANSWER_TIMEOUT)'],
])('%j is told in our own words, and quotes nothing', (fields, reason) => {
  expect(reasonOf(failure(fields))).toBe(reason);
});

test.each([
  ['WRONGPASS invalid username-password pair', 'it refuses the login (WRONGPASS)'],
  ['MOVED 5798 10.0.0.7:6379', 'an error (MOVED)'],
])('of what Redis replies only the code is told: %s', (message, reason) => {
  expect(reasonOf(failure({ name: 'ReplyError', command: { args: ['pa55'] } }, message))).toBe(reason);
});

test.each([
  [
    { name: 'PostgresError', code: '22P02' },
    'invalid input syntax: "statement_timeout is closed"',
    'an error (22P02)',
  ],
  [{ name: 'PostgresError', code: '23514' }, 'the city "Timed Out" is refused', 'an error (23514)'],
  [{ name: 'ReplyError' }, 'ERR the key "timeout" is closed', 'an error (ERR)'],
  [{}, 'no answer within 1500 ms', 'no answer in time'],
  [{}, 'Command timed out', 'no answer in time'],
  [{}, 'Connection is closed.', 'the connection was closed'],
])('what an error with a code quotes is not its reason: %j %s', (fields, message, reason) => {
  expect(reasonOf(failure(fields, message))).toBe(reason);
});

test('a service that does not work is asked every second, and is known to work again as soon as it answers', async () => {
  const lines: string[] = [];
  const log = { info: (_: object, text: string) => lines.push(text), warn() {} };
  let isAway = true;
  let asked = 0;
  const state = createServiceState('PostgreSQL', log as never, {
    probe: async () => {
      asked++;
      if (isAway) state.markDown(failure({ code: 'ECONNREFUSED' }));
      else state.markUp();
    },
  });
  state.markDown(failure({ code: 'ECONNREFUSED' }));
  await until(() => asked === 2);
  expect(state.reason()).toBeString();
  isAway = false;
  await until(() => state.reason() === undefined);
  expect(lines).toEqual(['PostgreSQL works again']);
  expect(asked).toBe(3);
  state.close();
});

test('whatever is thrown has a reason', () => {
  const loop = new Error('loop');
  loop.cause = loop;
  for (const thrown of [undefined, null, 'pa55', 7, {}, loop]) expect(reasonOf(thrown)).toBe('an error');
});

test('a state is logged when it changes, and each new reason once; the words of the driver only there', () => {
  const lines: unknown[] = [];
  const say = (level: string) => (fields: object, text: string) => lines.push([level, text, fields]);
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  let changes = 0;
  const state = createServiceState('Kafka', log as never, { changed: () => changes++ });
  state.markUp();
  const refused = failure({ code: 'ECONNREFUSED' }, 'connect ECONNREFUSED kafka:9092');
  const login = failure({ name: 'KafkaJSSASLAuthenticationError' }, 'no such user');
  for (const error of [refused, refused, login, refused, login]) state.markDown(error);
  expect(state.reason()).toBe('it refuses the login');
  expect(changes).toBe(5);
  state.markUp();
  state.markUp();
  expect(state.reason()).toBeUndefined();
  const reason = 'connection refused (ECONNREFUSED)';
  const service = 'Kafka';
  expect(lines).toEqual([
    [
      'warn',
      'Kafka does not work; trying again until it does',
      { service, reason, error: 'connect ECONNREFUSED kafka:9092' },
    ],
    ['info', 'Kafka still does not work', { service, reason: 'it refuses the login', error: 'no such user' }],
    ['info', 'Kafka works again', { service, awaySeconds: expect.any(Number) }],
  ]);
});
