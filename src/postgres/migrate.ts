import { Glob } from 'bun';
import type { Sql } from 'postgres';
import type { Log } from '../observability/log.ts';

/** Any number that every process of this program knows: whoever holds this lock migrates. */
const lock = 7_042_026;

type Migration = { version: number; name: string; up: string; down: string };

const directory = `${import.meta.dir}/../../migrations`;

const readMigrations = async (): Promise<Migration[]> => {
  const names = await Array.fromAsync(new Glob('*.up.sql').scan(directory));
  return Promise.all(
    names.sort().map(async (file) => {
      const name = file.replace('.up.sql', '');
      const [up, down] = await Promise.all(
        ['up', 'down'].map((way) => Bun.file(`${directory}/${name}.${way}.sql`).text()),
      );
      return { version: Number.parseInt(name, 10), name, up: up ?? '', down: down ?? '' };
    }),
  );
};

/** The names of the migrations above a version that are applied, the newest first. Rejects with the driver's error. */
export const migrationsAbove = async (sql: Sql, version: number): Promise<string[]> => {
  const [table] = await sql<{ there: boolean }[]>`select to_regclass('migrations') is not null as there`;
  if (!table?.there) return [];
  const rows = await sql<{ name: string }[]>`
    select name from migrations where version > ${version} order by version desc`;
  return rows.map(({ name }) => name);
};

/**
 * Brings the database to `target`, by default the newest version, upwards or downwards: one transaction for all steps,
 * so a failure leaves everything as it was. Processes that start at once wait for the first, then find nothing to do.
 * A database that is newer than this program is left alone. Rejects with the driver's error, or with one of a line when a
 * newer database is to go down, which only a program that knows its migrations can do.
 */
export const migrate = async (sql: Sql, log: Log, target = Number.POSITIVE_INFINITY): Promise<void> => {
  const migrations = await readMigrations();
  await sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${lock})`;
    await tx`set local client_min_messages = warning`;
    const [table] = await tx<{ there: boolean }[]>`select to_regclass('migrations') is not null as there`;
    // Even "if not exists" takes the right to make tables, which a role that only runs the program need not have.
    if (!table?.there)
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
