import postgres from 'postgres';
import { createLog } from '../../src/observability/log.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { openDatabase } from '../../src/postgres/pool.ts';

export const silent = createLog('silent', 'test');

export const uniqueName = (prefix: string) => `${prefix}_${crypto.randomUUID().replaceAll('-', '')}`;

/**
 * A database of its own, dropped when its scope ends; with the tables, unless it is to be empty. `locale` and `encoding`,
 * `isolation` of its transactions, and other `settings`: unset for the server's. An `encoding` needs a `locale`.
 */
export const createDatabase = async (
  serverUrl: string,
  {
    migrated = true,
    connections = 4,
    locale = '',
    encoding = 'UTF8',
    isolation = '',
    settings = {} as Record<string, string>,
  } = {},
) => {
  const name = uniqueName('test');
  const server = postgres(serverUrl, { max: 1, onnotice() {} });
  const own = `template template0 encoding '${encoding}' locale_provider libc locale '${locale}'`;
  await server.unsafe(`create database ${name} ${locale === '' ? '' : own}`);
  const all = isolation === '' ? settings : { ...settings, default_transaction_isolation: `'${isolation}'` };
  for (const [setting, value] of Object.entries(all))
    await server.unsafe(`alter database ${name} set ${setting} = ${value}`);
  const url = Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href;
  const sql = openDatabase({ url, connections, name: 'test' });
  if (migrated) await migrate(sql, silent);
  return {
    url,
    sql,
    async [Symbol.asyncDispose]() {
      await sql.end({ timeout: 1 });
      await server.unsafe(`drop database ${name} with (force)`);
      await server.end();
    },
  };
};
