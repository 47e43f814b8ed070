/** `bun run migrate`: migrates the database, up or down. See `--help`. */
import type { Sql } from 'postgres';
import { optionLines, readArguments } from '../src/cli/arguments.ts';
import { databaseUrlOf, explainDatabase, hostsOf, noDatabase } from '../src/cli/database.ts';
import { type ConfigOf, type reads, settingLines } from '../src/cli/reads.ts';
import { runCommand } from '../src/cli/run.ts';
import { createLog } from '../src/observability/log.ts';
import { migrate, newestVersion, versionOf } from '../src/postgres/migrate.ts';
import { openDatabase } from '../src/postgres/pool.ts';
import { describeUndo, planUndo } from '../src/postgres/undo.ts';

/** `target`: unset for the newest version. */
type Command = { target: number | undefined; isConfirmed: boolean };

const newest = await newestVersion();

const table = {
  options: {},
  flags: { yes: 'confirm that migrating down deletes data', help: 'show this help' },
};

const help = `Usage: bun run migrate [VERSION] [--yes]

Migrates the database to the newest version (${newest}), or up or down to VERSION (0: no tables). Going down deletes data: it has
to be confirmed, at the terminal or by --yes, and is refused while consumers are connected.

${optionLines(table)}

Exit status: 0 if done, 1 if it was not, 2 if an argument or the environment is wrong.

${settingLines('migrate')}`;

const readCommand = (args: string[]): Command | { help: string } => {
  const read = readArguments(args, table, 1);
  if (read === 'help') return { help };
  const [version] = read.rest;
  if (version !== undefined && (!/^\d{1,9}$/.test(version) || Number(version) > newest))
    throw new Error(
      `${JSON.stringify(version)} is not a version; allowed: 0 to ${newest}, the newest of this program`,
    );
  return {
    target: version === undefined ? undefined : Number(version),
    isConfirmed: read.given.yes === true,
  };
};

/** Rejects if the migration goes down and may not, or is not confirmed. */
const confirmUndo = async (sql: Sql, url: string, { target, isConfirmed }: Command) => {
  const undo = target === undefined ? undefined : await planUndo(sql, target);
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

const execute = async (command: Command, config: ConfigOf<typeof reads.migrate>): Promise<number> => {
  const url = databaseUrlOf(config);
  if (url === undefined) {
    console.error(`Not migrated: ${noDatabase}`);
    return 2;
  }
  const sql = openDatabase({ url, connections: 1, name: 'migrate' });
  try {
    await confirmUndo(sql, url, command);
    await migrate(sql, createLog(config.logLevel, 'migrate'), command.target);
    const version = await versionOf(sql);
    const age = version > newest ? `, newer than this program, which knows ${newest}` : '';
    console.log(`The database is at version ${version}${age}.`);
  } catch (error) {
    throw explainDatabase(error, url, config);
  } finally {
    await sql.end({ timeout: 1 });
  }
  return 0;
};

await runCommand(readCommand, execute, 'Not migrated: ');
