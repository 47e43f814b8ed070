/**
 * `bun run migrate [version] [--yes]`: the database to the newest version, or up or down to the one given (0: empty). The way
 * down deletes: it is asked for at the terminal, unless `--yes` is given, and refused while consumers are connected.
 */
import type { Sql } from 'postgres';
import { readConfig } from '../src/config/settings.ts';
import { errorText } from '../src/observability/error-text.ts';
import { createLog } from '../src/observability/log.ts';
import { migrate } from '../src/postgres/migrate.ts';
import { openDatabase } from '../src/postgres/pool.ts';
import { describeUndo, planUndo } from '../src/postgres/undo.ts';
import { parseDatabaseUrl } from '../src/postgres/url.ts';

const usage = 'migrate takes one version, a whole number, or none for the newest, and --yes';

const hostsOf = (url: string) =>
  (parseDatabaseUrl(url)?.servers ?? [])
    .map(({ host = 'localhost', port = 5432 }) => `${host}:${port}`)
    .join(',');

/** Rejects unless it may be done. */
const allowUndo = async (sql: Sql, url: string, target: number, isAllowed: boolean) => {
  const undo = await planUndo(sql, target);
  if (!undo) return;
  const what = describeUndo(undo, hostsOf(url));
  if (undo.consumers.length > 0)
    throw new Error(`${what}; stop its consumers first: ${undo.consumers.join(', ')}`);
  if (isAllowed) return;
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new Error(`${what}; there is no terminal to ask at, so it wants --yes`);
  console.log(what[0]?.toUpperCase() + what.slice(1));
  const answer = prompt(`To do it, type the name of the database:`);
  if (answer?.trim() !== undo.database) throw new Error('another name was typed; nothing was changed');
};

/** Rejects with what is to be told. */
const run = async (args: string[]) => {
  const isAllowed = args.includes('--yes');
  const [target, ...rest] = args.filter((arg) => arg !== '--yes');
  if (rest.length > 0 || (target !== undefined && !/^\d{1,9}$/.test(target)))
    throw new Error(`${usage}; it got: ${args.join(' ')}`);
  const { databaseUrl: url, logLevel } = readConfig(process.env);
  if (url === null) throw new Error('DATABASE_URL is not set');
  const sql = openDatabase({ url, connections: 1, name: 'migrate' });
  try {
    if (target !== undefined) await allowUndo(sql, url, Number(target), isAllowed);
    await migrate(sql, createLog(logLevel, 'migrate'), target === undefined ? undefined : Number(target));
  } finally {
    await sql.end({ timeout: 1 });
  }
};

try {
  await run(process.argv.slice(2));
} catch (error) {
  console.error(`Not migrated: ${errorText(error)}`);
  process.exitCode = 1;
}
