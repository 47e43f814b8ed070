import { Glob } from 'bun';
import type { Sql } from 'postgres';
import type { Log } from '../observability/log.ts';
import { isSerializationFailure } from './errors.ts';
import { readCommitted } from './isolation.ts';
import { openDatabase } from './pool.ts';

/** The key of the advisory lock under which migrations run; arbitrary, but the same in all versions of the program. */
const lockKey = 7_042_026;

type Migration = { version: number; name: string; up: string; down: string };

const directory = `${import.meta.dir}/../../migrations`;

const readMigrations = async (): Promise<Migration[]> => {
  const names = await Array.fromAsync(new Glob('*.up.sql').scan(directory));
  return Promise.all(
    names.sort().map(async (file) => {
      const name = file.replace('.up.sql', '');
      const [up, down] = await Promise.all(
        ['up', 'down'].map((direction) => Bun.file(`${directory}/${name}.${direction}.sql`).text()),
      );
      return { version: Number.parseInt(name, 10), name, up: up ?? '', down: down ?? '' };
    }),
  );
};

/** The newest version that this program knows. */
export const newestVersion = async (): Promise<number> =>
  Math.max(0, ...(await readMigrations()).map(({ version }) => version));

/** The version of a database on which `migrate` has run. Rejects with the driver's error. */
export const versionOf = async (sql: Sql): Promise<number> => {
  const [row] = await sql<
    { version: number }[]
  >`select coalesce(max(version), 0)::int as version from migrations`;
  return row?.version ?? 0;
};

/** The names of the applied migrations above `version`, newest first. Rejects with the driver's error. */
export const migrationsAbove = async (sql: Sql, version: number): Promise<string[]> => {
  const [table] = await sql<{ exists: boolean }[]>`select to_regclass('migrations') is not null as exists`;
  if (!table?.exists) return [];
  const rows = await sql<{ name: string }[]>`
    select name from migrations where version > ${version} order by version desc`;
  return rows.map(({ name }) => name);
};

/** The versions that are applied; undefined without the table of them. */
const readApplied = async (sql: Sql): Promise<number[] | undefined> => {
  const [table] = await sql<{ exists: boolean }[]>`select to_regclass('migrations') is not null as exists`;
  if (!table?.exists) return undefined;
  const rows = await sql<{ version: number }[]>`select version from migrations order by version`;
  return rows.map(({ version }) => version);
};

const createStatements = [
  // In another encoding PostgreSQL refuses letters that it lacks, or takes bytes for letters, and good orders would become dead
  // letters. A database that has tables is left as it is.
  `do $$ begin
    if current_setting('server_encoding') <> 'UTF8' then
      raise exception 'the encoding of the database is %, and has to be UTF8', current_setting('server_encoding')
        using errcode = 'invalid_database_definition';
    end if;
  end $$`,
  // Even "if not exists" needs the privilege to create tables, which a role that only runs the program may lack.
  `create table migrations (
    version int primary key, name text not null, applied_at timestamptz not null default now()
  )`,
];

/**
 * The statements that take a database with these versions through the steps. Without `begin` and `commit`, as they are sent in one
 * message, which PostgreSQL runs as one transaction: a process that is frozen, or cut off, between two messages would hold the locks for
 * as long. They fail with a serialization failure if the database has other versions by then.
 */
const migrationStatements = (applied: readonly number[] | undefined, steps: readonly string[]) =>
  [
    `set transaction ${readCommitted}`,
    `select pg_advisory_xact_lock(${lockKey})`,
    'set local client_min_messages = warning',
    `do $$ begin
      if ${applied ? `array(select version from migrations order by version) <> array[${applied}]::int[]` : "to_regclass('migrations') is not null"}
      then raise exception 'another process has migrated meanwhile' using errcode = 'serialization_failure'; end if;
    end $$`,
    ...(applied ? [] : createStatements),
    ...steps,
  ].join('\n;\n');

/**
 * Migrates the database up or down to `target`, by default to the newest version, in one transaction: a failure changes nothing.
 * Of several processes that start at once the others wait for the first, and find nothing to do. Leaves a database that is
 * newer than this program unchanged. Rejects with the driver's error, or with one line when the database is newer and is to go
 * below a version that this program does not know.
 */
export const migrate = async (sql: Sql, log: Log, target = Number.POSITIVE_INFINITY): Promise<void> => {
  const migrations = await readMigrations();
  const known = new Set(migrations.map(({ version }) => version));
  for (;;) {
    const applied = await readApplied(sql);
    const unknown = applied?.filter((version) => !known.has(version) && version > target) ?? [];
    if (unknown.length > 0)
      throw new Error(
        `the database is newer than this program, which cannot undo version ${Math.max(...unknown)}`,
      );

    const isApplied = ({ version }: Migration) => applied?.includes(version) ?? false;
    const ups = migrations.filter((one) => !isApplied(one) && one.version <= target);
    const downs = migrations.filter((one) => isApplied(one) && one.version > target).reverse();
    if (applied && ups.length + downs.length === 0) return;
    const steps = [
      ...ups.flatMap(({ version, name, up }) => [
        up,
        `insert into migrations (version, name) values (${version}, '${name}')`,
      ]),
      ...downs.flatMap(({ version, down }) => [down, `delete from migrations where version = ${version}`]),
    ];
    try {
      await sql.unsafe(migrationStatements(applied, steps));
    } catch (error) {
      if (isSerializationFailure(error)) continue;
      throw error;
    }
    for (const { name } of ups) log.info({ migration: name }, 'migrated up');
    for (const { name } of downs) log.info({ migration: name }, 'migrated down');
    return;
  }
};

/** Migrates to the newest version on a connection that may be silent for long: for another process's lock, or for an index. */
export const migrateDatabase = async (url: string, log: Log): Promise<void> => {
  const sql = openDatabase({ url, connections: 1, name: 'migration', silenceTimeoutSeconds: 600 });
  await migrate(sql, log).finally(() => sql.end({ timeout: 1 }));
};

/** Whether a migration cannot succeed on another attempt: a syntax error or a missing right (SQLSTATE class 42). */
export const isFinalMigrationError = (error: unknown): boolean =>
  String((error as { code?: unknown }).code).startsWith('42');
