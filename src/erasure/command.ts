import { databaseUrlOf, explainDatabase, noDatabase } from '../cli/database.ts';
import type { ConfigOf, reads } from '../cli/reads.ts';
import { createErasures } from '../postgres/erasures.ts';
import { isLockTimeout, isUndefinedTable } from '../postgres/errors.ts';
import { openDatabase } from '../postgres/pool.ts';
import { eraseSelected } from './erase.ts';
import type { Command } from './options.ts';

const confirmation = 'erase';

const confirm = () => {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  return prompt(`To confirm, type ${confirmation}:`)?.trim() === confirmation;
};

/** Runs the command and resolves with the status of the process. */
export const execute = async (command: Command, config: ConfigOf<typeof reads.orders>): Promise<number> => {
  const url = databaseUrlOf(config);
  if (url === undefined) {
    console.error(`Nothing is erased: ${noDatabase}`);
    return 2;
  }
  const sql = openDatabase({ url, connections: 1, name: 'erase' });
  try {
    const isDone = await eraseSelected(command, {
      erasures: createErasures(sql),
      confirm,
      write: (line) => console.log(line),
    });
    return isDone ? 0 : 1;
  } catch (error) {
    if (isLockTimeout(error))
      throw new Error('PostgreSQL is storing orders, or cleaning up, for too long: try again', {
        cause: error,
      });
    throw isUndefinedTable(error)
      ? new Error('the database is empty, or of an older version: run `bun run migrate`')
      : explainDatabase(error, url, config);
  } finally {
    await sql.end({ timeout: 1 });
  }
};
