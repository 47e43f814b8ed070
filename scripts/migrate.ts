/** `bun run migrate [version]`: the database to the newest version, or up or down to the one given (0: empty). */
import { readConfig } from '../src/config.ts';
import { openDatabase } from '../src/database.ts';
import { createLog } from '../src/log.ts';
import { migrate } from '../src/migrate.ts';
import { oneLine } from '../src/service-state.ts';

const usage = 'migrate takes one version, a whole number, or none for the newest';

/** Rejects with what is to be told. */
const run = async ([target, ...rest]: string[]) => {
  if (rest.length > 0 || (target !== undefined && !/^\d{1,9}$/.test(target)))
    throw new Error(`${usage}; it got: ${[target, ...rest].join(' ')}`);
  const config = readConfig(process.env);
  if (config.databaseUrl === null)
    throw new Error('set DATABASE_URL; the embedded PostgreSQL is migrated at every start');
  const sql = openDatabase({ url: config.databaseUrl, connections: 1, name: 'migrate' });
  try {
    const log = createLog(config.logLevel, 'migrate');
    await migrate(sql, log, target === undefined ? undefined : Number(target));
  } finally {
    await sql.end({ timeout: 1 });
  }
};

try {
  await run(process.argv.slice(2));
} catch (error) {
  console.error(`Not migrated: ${oneLine(error)}`);
  process.exitCode = 1;
}
