import { expect, test } from 'bun:test';
import { parseDatabaseUrl } from '../../src/postgres/url.ts';

const verified = {};
const encrypted = { rejectUnauthorized: false };

test.each([
  ['postgres://host/db', false],
  ['postgres://host/db?sslmode=', undefined],
  ['postgres://host/db?sslmode=disable', false],
  ['postgres://host/db?sslmode=require', encrypted],
  ['postgres://host/db?sslmode=verify-ca', { checkServerIdentity: expect.any(Function) }],
  ['postgresql://host/db?sslmode=verify-full', verified],
  ['postgres://host/db?sslmode=allow', undefined],
  ['postgres://host/db?sslmode=prefer', undefined],
  ['postgres://host/db?sslmode=VERIFY-FULL', undefined],
])('%s', (url, ssl) => {
  expect(parseDatabaseUrl(url)?.ssl).toEqual(ssl as never);
});

test('every part of a URL is read and decoded', () => {
  expect(
    parseDatabaseUrl(
      'postgres://us%40er:p%2Fa%3As%20s@db.internal:6432/or%C3%A4ders?application_name=me&options=-c%20statement_timeout%3D5s',
    ),
  ).toEqual({
    servers: [{ host: 'db.internal', port: 6432 }],
    target: undefined,
    username: 'us@er',
    password: 'p/a:s s',
    database: 'oräders',
    ssl: false,
    session: { application_name: 'me', options: '-c statement_timeout=5s' },
  });
  expect(parseDatabaseUrl('postgres://[::1]:6432/db')?.servers).toEqual([{ host: '::1', port: 6432 }]);
  expect(parseDatabaseUrl('postgres:///db')).toMatchObject({
    servers: [{ host: undefined, port: undefined }],
    database: 'db',
  });
});

test('several hosts are read in order, each with its own port', () => {
  expect(
    parseDatabaseUrl('postgres://u:p,%40@a:5433,[::1],c.internal:5434/db?target_session_attrs=primary'),
  ).toMatchObject({
    servers: [
      { host: 'a', port: 5433 },
      { host: '::1', port: undefined },
      { host: 'c.internal', port: 5434 },
    ],
    target: 'primary',
    password: 'p,@',
    database: 'db',
  });
});

test.each(['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'])(
  'target_session_attrs may be %s',
  (target) => {
    expect(parseDatabaseUrl(`postgres://a,b/db?target_session_attrs=${target}`)?.target).toBe(
      target as never,
    );
  },
);

test.each([
  'postgres://a,/db',
  'postgres://,b/db',
  'postgres://a:1,b:99999/db',
  'postgres://a,b c/db',
  'postgres://a,b/db?target_session_attrs=',
  'postgres://a,b/db?target_session_attrs=secondary',
  'postgres://a,b/db?load_balance_hosts=random',
  'postgres://a/db?hostaddr=127.0.0.1',
])('%s is refused, as something of it is not supported', (url) => {
  expect(parseDatabaseUrl(url)).toBeUndefined();
});
