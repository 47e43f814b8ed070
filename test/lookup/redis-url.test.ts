import { expect, test } from 'bun:test';
import { parseRedisUrl } from '../../src/lookup/redis-url.ts';

test('Sentinels are named with the primary that they watch, a database, and two logins', () => {
  expect(
    parseRedisUrl(
      'rediss-sentinel://us%40er:p,%2F@s1:26380,[::1],s3.internal/or%20ders/3?sentinel_username=watch&sentinel_password=p%26w',
    ),
  ).toEqual({
    nodes: [
      { host: 's1', port: 26_380 },
      { host: '::1', port: 26_379 },
      { host: 's3.internal', port: 26_379 },
    ],
    isCluster: false,
    sentinel: { name: 'or ders', username: 'watch', password: 'p&w' },
    tls: true,
    username: 'us@er',
    password: 'p,/',
    database: 3,
  });
  expect(parseRedisUrl('redis-sentinel://s1/orders')).toMatchObject({
    sentinel: { name: 'orders', username: undefined, password: undefined },
    tls: false,
    database: 0,
  });
});

test('a server and a cluster are read as before', () => {
  expect(parseRedisUrl('redis://:pw@cache/2')).toMatchObject({
    nodes: [{ host: 'cache', port: 6379 }],
    sentinel: undefined,
    password: 'pw',
    database: 2,
  });
  expect(parseRedisUrl('redis-cluster://a:1,b:2')).toMatchObject({
    nodes: [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ],
    isCluster: true,
    database: 0,
  });
});
