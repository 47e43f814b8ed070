import { expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { withTimeout } from '../../src/async/timeouts.ts';
import { createErasures } from '../../src/postgres/erasures.ts';
import { isFinalMigrationError, migrate, newestVersion } from '../../src/postgres/migrate.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { hold } from '../support/hold.ts';
import { isWaiting } from '../support/is-waiting.ts';
import { silent, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { runScript } from '../support/run-script.ts';

setDefaultTimeout(60_000);

const root = join(import.meta.dir, '../..');

/** `bun run migrate` in a process of its own. */
const command = async (environment: Record<string, string>, ...args: string[]) => {
  return runScript('scripts/migrate.ts', args, { LOG_LEVEL: 'info', ...environment });
};

/** All tables, columns, constraints and indexes. */
const shapeOf = async (sql: Sql) =>
  JSON.stringify([
    await sql`select table_name, column_name, data_type, character_maximum_length, collation_name, is_nullable, is_identity
      from information_schema.columns where table_schema = 'public' order by 1, ordinal_position`,
    await sql`select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
      where connamespace = 'public'::regnamespace order by 1, 2`,
    await sql`select indexdef from pg_indexes where schemaname = 'public' order by 1`,
  ]);
const tablesOf = async (sql: Sql) =>
  (await sql`select tablename from pg_tables where schemaname = 'public' order by 1`).map(
    (row) => row.tablename,
  );
const ours = [
  'consumed_offsets',
  'dead_lettered_messages',
  'deliveries',
  'erased_orders',
  'erasure_key',
  'items',
  'migrations',
  'order_retention',
  'orders',
  'payments',
];

test('migrating up, down to 0 and up again gives the same tables', async () => {
  await using database = await testDatabase({ migrated: false });
  const { sql } = database;
  await migrate(sql, silent);
  const shape = await shapeOf(sql);
  expect(await tablesOf(sql)).toEqual(ours);
  await createStore(sql).save([buildOrder()]);
  await migrate(sql, silent, 0);
  expect(await tablesOf(sql)).toEqual(['migrations']);
  expect(await sql`select * from migrations`).toHaveLength(0);
  await migrate(sql, silent);
  expect(await shapeOf(sql)).toBe(shape);
  expect(await createStore(sql).newest(1)).toEqual([]);
});

test('each migration has a number of its own and a down file', async () => {
  const files = [...new Bun.Glob('*').scanSync(join(root, 'migrations'))].sort();
  const ups = files.filter((file) => file.endsWith('.up.sql'));
  expect(files).toEqual(ups.flatMap((up) => [up.replace('.up.', '.down.'), up]));
  const versions = ups.map((file) => Number.parseInt(file, 10));
  expect(versions).toEqual(ups.map((_, index) => index + 1));
});

test('migrating again changes nothing, not even a row', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  await createStore(sql).save([buildOrder()]);
  const before = [
    await shapeOf(sql),
    await sql`select *, xmin::text from migrations`,
    await sql`select *, xmin::text from orders`,
  ];
  await migrate(sql, silent);
  expect([
    await shapeOf(sql),
    await sql`select *, xmin::text from migrations`,
    await sql`select *, xmin::text from orders`,
  ]).toEqual(before);
});

test.each(['read committed', 'repeatable read', 'serializable'])(
  'of five processes that start at once, one migrates and all succeed: %s',
  async (isolation) => {
    await using database = await testDatabase({ migrated: false, isolation });
    const runs = await Promise.all(Array.from({ length: 5 }, () => command({ DATABASE_URL: database.url })));
    expect(runs.map(({ code, errors }) => ({ code, errors }))).toEqual(
      Array(5).fill({ code: 0, errors: '' }),
    );
    expect(runs.filter(({ output }) => output.includes('migrated up'))).toHaveLength(1);
    expect(await tablesOf(database.sql)).toEqual(ours);
  },
);

test('a database where a backslash escapes in quotes is migrated', async () => {
  await using database = await testDatabase({ settings: { standard_conforming_strings: 'off' } });
  expect(await tablesOf(database.sql)).toEqual(ours);
});

test('a new database in another encoding than UTF-8 is refused, one that has tables is not', async () => {
  await using database = await testDatabase({ migrated: false, locale: 'C', encoding: 'LATIN1' });
  const { sql, url } = database;
  const { code, errors } = await command({ DATABASE_URL: url });
  expect(errors).toContain('the encoding of the database is LATIN1, and has to be UTF8');
  expect(code).toBe(1);
  expect(isFinalMigrationError(await migrate(sql, silent).catch((error) => error))).toBe(true);
  expect(await tablesOf(sql)).toEqual([]);

  await sql`create table migrations (
    version int primary key, name text not null, applied_at timestamptz not null default now()
  )`;
  await migrate(sql, silent);
  expect(await tablesOf(sql)).toEqual(ours);
});

test('a process that is frozen while it migrates keeps no other from it', async () => {
  await using database = await testDatabase({ migrated: false, connections: 6 });
  const { sql, url } = database;
  await migrate(sql, silent, 6);
  const release = await hold(sql, 'lock table dead_lettered_messages in access share mode');
  const child = Bun.spawn([process.execPath, 'scripts/migrate.ts'], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', DATABASE_URL: url },
    stdout: 'pipe',
  });
  try {
    // It has the lock of migrations, and waits for the table.
    await until(() => isWaiting(sql, ''));
    child.kill('SIGSTOP');
    await release();
    await withTimeout(15_000, migrate(sql, silent));
    expect(await tablesOf(sql)).toEqual(ours);
    child.kill('SIGCONT');
    expect(await new Response(child.stdout).text()).toContain('The database is at version');
  } finally {
    child.kill('SIGKILL');
  }
});

test('a process that has nothing to migrate waits for no lock', async () => {
  await using database = await testDatabase({ connections: 3 });
  const { sql } = database;
  const release = await hold(sql, 'select pg_advisory_xact_lock(7042026)');
  await withTimeout(15_000, migrate(sql, silent));
  await release();
});

test('two connections that migrate up and down at once never see half of a migration', async () => {
  await using database = await testDatabase({ connections: 6 });
  await Promise.all(
    [0, undefined, 0, undefined, undefined].map((target) => migrate(database.sql, silent, target)),
  );
  expect([['migrations'], ours]).toContainEqual(await tablesOf(database.sql));
});

test('a migration that fails changes nothing, and the command says so in one line', async () => {
  await using database = await testDatabase({ migrated: false });
  const { sql, url } = database;
  await sql`create table items (mine text)`;
  await sql`insert into items values ('untouched')`;
  await expect(migrate(sql, silent)).rejects.toThrow('relation "items" already exists');
  const { code, output, errors } = await command({ DATABASE_URL: url });
  expect({ code, output }).toEqual({ code: 1, output: '' });
  expect(errors).toMatch(/^Not migrated: [^\n]*"items" already exists\n$/);
  expect(await tablesOf(sql)).toEqual(['items']);
  expect(await sql`select mine from items`).toEqual([{ mine: 'untouched' }] as never);
  // The connection can be used again, and holds no lock.
  await sql`drop table items`;
  await migrate(sql, silent);
  expect(await tablesOf(sql)).toEqual(ours);
});

test('a database that is newer than the program is not changed', async () => {
  await using database = await testDatabase();
  const { sql, url } = database;
  await sql`insert into migrations (version, name) values (9001, '9001_from_the_future')`;
  await sql`alter table orders add column more text`;
  const shape = await shapeOf(sql);
  await migrate(sql, silent);
  await expect(migrate(sql, silent, 0)).rejects.toThrow('newer than this program');
  expect(await shapeOf(sql)).toBe(shape);
  expect(await sql`select version from migrations order by 1`).toHaveLength((await newestVersion()) + 1);
  expect((await command({ DATABASE_URL: url })).code).toBe(0);
  const down = await command({ DATABASE_URL: url }, '0', '--yes');
  expect(down.code).toBe(1);
  expect(down.errors).toMatch(/^Not migrated: [^\n]*9001\n$/);
});

test('room for configured values is made without rewriting a table, and taken back unless longer values are stored', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const store = createStore(sql);
  const files = () => sql`
    select relname, pg_relation_filenode(oid) from pg_class where relname in ('orders', 'payments', 'items') order by 1`;
  const order = buildOrder();
  await store.save([order]);
  await migrate(sql, silent, 2);
  const before = await files();
  await migrate(sql, silent);
  expect(await files()).toEqual(before);
  expect(await store.find(order.order_uid)).toBe(JSON.stringify(order));
  const shape = await shapeOf(sql);
  const longer = buildOrder({ order_uid: 'order-of-a-locale', locale: 'zh-Hant' });
  await store.save([longer]);
  await expect(migrate(sql, silent, 2)).rejects.toThrow('too long');
  expect(await shapeOf(sql)).toBe(shape);
  await sql`delete from orders where order_uid = ${longer.order_uid}`;
  await migrate(sql, silent, 2);
  // The store reads the columns of the newest version.
  await migrate(sql, silent);
  expect(await store.find(order.order_uid)).toBe(JSON.stringify(order));
});

test('dead letters from before groups had their own get the groups that may have sent them, and go back to one for each message', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  await migrate(sql, silent, 6);
  const before = await shapeOf(sql);
  await sql`
    insert into consumed_offsets (group_id, topic, partition, next_offset, claim) values
      ('alone', 'one', 0, 3, gen_random_uuid()), ('elsewhere', 'one', 1, 9, gen_random_uuid()),
      ('behind', 'two', 0, 4, gen_random_uuid()), ('ahead', 'two', 0, 8, gen_random_uuid()),
      ('new', 'two', 0, null, gen_random_uuid())`;
  await sql`
    insert into dead_lettered_messages (topic, partition, message_offset, digest) values
      ('one', 0, 2, 'a'), ('one', 0, 7, 'b'), ('two', 0, 3, 'c'), ('two', 0, 4, 'd'), ('gone', 0, 1, 'e')`;
  await migrate(sql, silent);
  const marks = async () =>
    (
      await sql<{ mark: string }[]>`
        select concat_ws(' ', group_id, topic, partition, message_offset, digest) as mark
        from dead_lettered_messages order by 1`
    ).map(({ mark }) => mark);
  expect(await marks()).toEqual([
    'ahead two 0 3 c',
    'ahead two 0 4 d',
    // The only group is reading again: it has the letter.
    'alone one 0 2 a',
    'alone one 0 7 b',
    'behind two 0 3 c',
  ]);

  await sql`
    insert into dead_lettered_messages (group_id, topic, partition, message_offset, digest)
    values ('behind', 'two', 0, 4, 'of another cluster')`;
  await migrate(sql, silent, 6);
  expect(await shapeOf(sql)).toBe(before);
  expect(
    (
      await sql`select topic, partition, message_offset::int, digest from dead_lettered_messages order by 1, 3`
    ).map((row) => Object.values(row).join(' ')),
  ).toEqual(['one 0 2 a', 'one 0 7 b', 'two 0 3 c', 'two 0 4 d']);
  await migrate(sql, silent);
  expect(await marks()).toHaveLength(5);
});

test('the command prints its help, and at which version the database is', async () => {
  await using database = await testDatabase();
  const newest = await newestVersion();
  expect(await command({}, '--help')).toMatchObject({
    code: 0,
    errors: '',
    output: expect.stringContaining('Usage: '),
  });
  const DATABASE_URL = database.url;
  expect((await command({ DATABASE_URL })).output).toBe(`The database is at version ${newest}.\n`);
  expect((await command({ DATABASE_URL }, '1', '--yes')).output).toEndWith('The database is at version 1.\n');
  expect(await command({ DATABASE_URL }, '99')).toMatchObject({ code: 2 });
});

test('without DATABASE_URL the command uses the embedded PostgreSQL of the data directory', async () => {
  await using database = await testDatabase();
  const dataDir = mkdtempSync(join(tmpdir(), 'migrate-'));
  try {
    writeFileSync(join(dataDir, 'postgres.url'), `${database.url}\n`, { mode: 0o600 });
    expect(await command({ DATA_DIR: dataDir })).toMatchObject({ code: 0, errors: '' });
    writeFileSync(join(dataDir, 'postgres.url'), 'postgres://postgres:secret@127.0.0.1:1/postgres\n');
    expect((await command({ DATA_DIR: dataDir })).errors).toMatch(
      /^Not migrated: PostgreSQL at 127\.0\.0\.1:1 does not answer: .*\(DATABASE_URL is not set; does `bun start` run\?\)\n$/,
    );
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

test('the command migrates to the given version', async () => {
  await using database = await testDatabase();
  expect(await command({ DATABASE_URL: database.url }, '0', '--yes')).toMatchObject({ code: 0, errors: '' });
  expect(await tablesOf(database.sql)).toEqual(['migrations']);
  expect((await command({ DATABASE_URL: database.url }, '1')).code).toBe(0);
  const later = [
    'consumed_offsets',
    'dead_lettered_messages',
    'erased_orders',
    'erasure_key',
    'order_retention',
  ];
  expect(await tablesOf(database.sql)).toEqual(ours.filter((table) => !later.includes(table)));
  expect((await command({ DATABASE_URL: database.url }, '4')).code).toBe(0);
  expect(await tablesOf(database.sql)).toEqual(ours.filter((table) => table !== 'order_retention'));
});

test('migrating down names the database and its orders, and is refused without a terminal and while consumers are connected', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const url = Object.assign(new URL(database.url), { search: '?application_name=shop' }).href;
  const name = new URL(url).pathname.slice(1);
  await createStore(sql).save([buildOrder(), buildOrder({ order_uid: 'another-order' })]);
  const refused = await command({ DATABASE_URL: url }, '0');
  expect(refused).toMatchObject({ code: 1, output: '' });
  expect(refused.errors).toStartWith(`Not migrated: database "${name}" on ${new URL(url).host}: undoes `);
  expect(refused.errors).toEndWith('deletes 2 orders; without a terminal it requires --yes\n');
  expect(refused.errors).not.toContain(new URL(url).password || 'pa55');

  const consumer = openDatabase({ url, connections: 1, name: 'consumer-2' });
  await consumer`select 1`;
  const busy = await command({ DATABASE_URL: url }, '0', '--yes');
  expect(busy.errors).toEndWith('deletes 2 orders; stop its consumers first: shop consumer-2\n');
  expect(await createStore(sql).newest(9)).toHaveLength(2);
  await consumer.end();
  expect((await command({ DATABASE_URL: url }, '0', '--yes')).code).toBe(0);
  expect(await tablesOf(sql)).toEqual(['migrations']);
  // Nothing is left to delete, so no confirmation is needed.
  expect((await command({ DATABASE_URL: url }, '0')).code).toBe(0);
});

test('migrating down below the marks of erased orders says how many are lost and what follows, and only then', async () => {
  await using database = await testDatabase();
  const { sql, url } = database;
  await createStore(sql).save([buildOrder()]);
  await createErasures(sql).erase(['erased-order-1', 'erased-order-2']);
  const lost = '; deletes 2 marks of erased orders for good, so messages that are read again bring them back';
  expect((await command({ DATABASE_URL: url }, '4')).errors).toEndWith(
    '; keeps its 1 order; without a terminal it requires --yes\n',
  );
  expect((await command({ DATABASE_URL: url }, '3')).errors).toEndWith(
    `; keeps its 1 order${lost}; without a terminal it requires --yes\n`,
  );
  expect((await command({ DATABASE_URL: url }, '0')).errors).toEndWith(
    `; deletes 1 order${lost}; without a terminal it requires --yes\n`,
  );
  expect((await command({ DATABASE_URL: url }, '3', '--yes')).code).toBe(0);
  expect((await command({ DATABASE_URL: url }, '2')).errors).toEndWith(
    '; keeps its 1 order; without a terminal it requires --yes\n',
  );
});

if (Bun.which('script'))
  test.each([
    ['another name', 'nonsense', 1],
    ['the name of the database', undefined, 0],
  ])('at a terminal a migration down needs a confirmation: %s', async (_, typed, code) => {
    await using database = await testDatabase();
    const name = new URL(database.url).pathname.slice(1);
    const child = Bun.spawn(['script', '-qec', `'${process.execPath}' scripts/migrate.ts 0`, '/dev/null'], {
      cwd: root,
      env: { PATH: process.env.PATH ?? '', SHELL: '/bin/sh', DATABASE_URL: database.url },
      stdin: 'pipe',
      stdout: 'pipe',
    });
    child.stdin.write(`${typed ?? name}\n`);
    child.stdin.flush();
    const output = await new Response(child.stdout).text();
    child.stdin.end();
    expect(output).toContain(`Database "${name}" on `);
    expect(output).toContain('deletes 0 orders');
    expect(await child.exited).toBe(code);
    expect(await tablesOf(database.sql)).toEqual(code === 0 ? ['migrations'] : ours);
  });

test.each([
  ['a version that is none', { DATABASE_URL: 'postgres://127.0.0.1:1/x' }, ['newest'], 2, /"newest"/],
  [
    'a version to come',
    { DATABASE_URL: 'postgres://127.0.0.1:1/x' },
    ['99'],
    2,
    /"99".* 0 to \d, the newest/,
  ],
  ['two versions', { DATABASE_URL: 'postgres://127.0.0.1:1/x' }, ['1', '2'], 2, /"2"/],
  ['no database', { DATA_DIR: '/nowhere' }, [], 2, /DATABASE_URL is not set/],
  ['a bad variable', { DATABASE_URL: 'mysql://127.0.0.1/x' }, [], 2, /DATABASE_URL/],
  [
    'another bad variable',
    { DATABASE_URL: 'postgres://127.0.0.1:1/x', LOG_LEVEL: 'loud' },
    [],
    2,
    /LOG_LEVEL/,
  ],
  [
    'a server that is not there',
    { DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/x' },
    [],
    1,
    /PostgreSQL at 127\.0\.0\.1:1 does not answer: .*ECONNREFUSED/,
  ],
])('%s is one line and no success', async (_, environment, args, status, reason) => {
  const { code, output, errors } = await command(environment as Record<string, string>, ...args);
  expect({ code, output }).toEqual({ code: status, output: '' });
  expect(errors).toMatch(/^Not migrated: [^\n]{5,}\n$/);
  expect(errors).toMatch(reason);
  expect(errors).not.toContain('secret');
});

test('a process that loses its connection while another one migrates finds the migration done', async () => {
  await using database = await testDatabase({ migrated: false });
  const other = openDatabase({ url: database.url, connections: 1, name: 'other' });
  const held = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = database.sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(7042026)`;
    locked.resolve();
    await held.promise;
  });
  await locked.promise;
  const waiting = migrate(other, silent);
  waiting.catch(() => {});
  const isWaiting = async () =>
    (await database.sql`select from pg_locks where locktype = 'advisory' and not granted`).length > 0;
  while (!(await isWaiting())) await Bun.sleep(10);
  await database.sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'order-lookup other'`;
  await expect(waiting).rejects.toThrow();
  held.resolve();
  await holding;
  await migrate(other, silent);
  await other.end({ timeout: 1 });
  expect(await tablesOf(database.sql)).toEqual(ours);
});
