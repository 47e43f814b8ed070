/**
 * `bun run migrate [version] [--yes]`: migrates the database to the newest version, or up or down to the given one (0: empty).
 * Going down deletes data: it has to be confirmed, at the terminal or by `--yes`, and is refused while consumers are connected.
 */
import type { Sql } from 'postgres';
import { exitWith } from '../src/cli/run.ts';
import { readConfig } from '../src/config/settings.ts';
import { createLog } from '../src/observability/log.ts';
import { migrate } from '../src/postgres/migrate.ts';
import { openDatabase } from '../src/postgres/pool.ts';
import { describeUndo, planUndo } from '../src/postgres/undo.ts';
import { parseDatabaseUrl } from '../src/postgres/url.ts';

const usage = 'migrate takes at most one version, a whole number, and --yes';

const hostsOf = (url: string) =>
  (parseDatabaseUrl(url)?.servers ?? [])
    .map(({ host = 'localhost', port = 5432 }) => `${host}:${port}`)
    .join(',');

/** Rejects if the migration goes down and may not, or is not confirmed. */
const confirmUndo = async (sql: Sql, url: string, target: number, isConfirmed: boolean) => {
  const undo = await planUndo(sql, target);
  if (!undo) return;
  const description = describeUndo(undo, hostsOf(url));
  if (undo.consumers.length > 0)
    throw new Error(`${description}; stop its consumers first: ${undo.consumers.join(', ')}`);
  if (isConfirmed) return;
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new Error(`${description}; without a terminal it requires --yes`);
  console.log(description[0]?.toUpperCase() + description.slice(1));
  const answer = prompt('To confirm, type the name of the database:');
  if (answer?.trim() !== undo.database) throw new Error('the name does not match; nothing was changed');
};

const run = async (args: string[]): Promise<number> => {
  const isConfirmed = args.includes('--yes');
  const [target, ...rest] = args.filter((arg) => arg !== '--yes');
  if (rest.length > 0 || (target !== undefined && !/^\d{1,9}$/.test(target)))
    throw new Error(`${usage}; it got: ${args.join(' ')}`);
  const { databaseUrl: url, logLevel } = readConfig(process.env);
  if (url === null) throw new Error('DATABASE_URL is not set');
  const sql = openDatabase({ url, connections: 1, name: 'migrate' });
  try {
    if (target !== undefined) await confirmUndo(sql, url, Number(target), isConfirmed);
    await migrate(sql, createLog(logLevel, 'migrate'), target === undefined ? undefined : Number(target));
  } finally {
    await sql.end({ timeout: 1 });
  }
  return 0;
};

await exitWith(() => run(process.argv.slice(2)), 'Not migrated: ');
