import { Glob } from 'bun';
import type { Sql } from 'postgres';
import type { Log } from '../observability/log.ts';
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

/**
 * Migrates the database up or down to `target`, by default to the newest version, in one transaction: a failure changes nothing.
 * Of several processes that start at once the others wait for the first, and find nothing to do. Leaves a database that is
 * newer than this program unchanged. Rejects with the driver's error, or with one line when the database is newer and is to go
 * below a version that this program does not know.
 */
export const migrate = async (sql: Sql, log: Log, target = Number.POSITIVE_INFINITY): Promise<void> => {
  const migrations = await readMigrations();
  await sql.begin(readCommitted, async (tx) => {
    await tx`select pg_advisory_xact_lock(${lockKey})`;
    await tx`set local client_min_messages = warning`;
    const [table] = await tx<{ exists: boolean }[]>`select to_regclass('migrations') is not null as exists`;
    // Even "if not exists" needs the privilege to create tables, which a role that only runs the program may lack.
    if (!table?.exists)
      await tx`create table migrations (
        version int primary key, name text not null, applied_at timestamptz not null default now()
      )`;
    const applied = new Set(
      (await tx<{ version: number }[]>`select version from migrations`).map((row) => row.version),
    );

    const known = new Set(migrations.map(({ version }) => version));
    const unknown = [...applied].filter((version) => !known.has(version) && version > target);
    if (unknown.length > 0)
      throw new Error(
        `the database is newer than this program, which cannot undo version ${Math.max(...unknown)}`,
      );

    for (const { version, name, up } of migrations) {
      if (applied.has(version) || version > target) continue;
      await tx.unsafe(up);
      await tx`insert into migrations ${tx({ version, name })}`;
      log.info({ migration: name }, 'migrated up');
    }
    for (const { version, name, down } of migrations.toReversed()) {
      if (!applied.has(version) || version <= target) continue;
      await tx.unsafe(down);
      await tx`delete from migrations where version = ${version}`;
      log.info({ migration: name }, 'migrated down');
    }
  });
};

/** Migrates to the newest version on a connection that may be silent for long: for another process's lock, or for an index. */
export const migrateDatabase = async (url: string, log: Log): Promise<void> => {
  const sql = openDatabase({ url, connections: 1, name: 'migration', silenceTimeoutSeconds: 600 });
  await migrate(sql, log).finally(() => sql.end({ timeout: 1 }));
};

/** Whether a migration cannot succeed on another attempt: a syntax error or a missing right (SQLSTATE class 42). */
export const isFinalMigrationError = (error: unknown): boolean =>
  String((error as { code?: unknown }).code).startsWith('42');
