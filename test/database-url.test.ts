import { expect, test } from 'bun:test';
import { parseDatabaseUrl } from '../src/database-url.ts';

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

test('every part is read, and decoded', () => {
  expect(
    parseDatabaseUrl(
      'postgres://us%40er:p%2Fa%3As%20s@db.internal:6432/or%C3%A4ders?application_name=me&options=-c%20statement_timeout%3D5s',
    ),
  ).toEqual({
    host: 'db.internal',
    port: 6432,
    username: 'us@er',
    password: 'p/a:s s',
    database: 'oräders',
    ssl: false,
    session: { application_name: 'me', options: '-c statement_timeout=5s' },
  });
  expect(parseDatabaseUrl('postgres://[::1]:6432/db')).toMatchObject({ host: '::1', port: 6432 });
  expect(parseDatabaseUrl('postgres:///db')).toMatchObject({ host: undefined, database: 'db' });
});
