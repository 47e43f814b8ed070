/** `bun run migrate [version]`: the database to the newest version, or up or down to the one given (0: empty). */
import { readConfig } from '../src/config.ts';
import { openDatabase } from '../src/database.ts';
import { createLog } from '../src/log.ts';
import { migrate } from '../src/migrate.ts';

const [target, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (target !== undefined && !/^\d+$/.test(target))) {
  console.error(
    `migrate takes one version, a whole number, or none for the newest; it got: ${process.argv.slice(2).join(' ')}`,
  );
  process.exit(2);
}
const config = readConfig(process.env);
if (config.databaseUrl === null) {
  console.error(
    'Set DATABASE_URL to the database to migrate. The embedded one migrates itself at every start.',
  );
  process.exit(2);
}
const sql = openDatabase({ url: config.databaseUrl, connections: 1, name: 'migrate' });
try {
  await migrate(
    sql,
    createLog(config.logLevel, 'migrate'),
    target === undefined ? undefined : Number(target),
  );
} catch (error) {
  console.error(`Not migrated: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await sql.end({ timeout: 1 });
}
