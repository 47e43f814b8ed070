import { Database } from 'bun:sqlite';
import { ensurePrivateFile } from './private-files.ts';

/**
 * Takes the lock that `file` stands for, or returns undefined while another holds it. The kernel gives it back when its
 * holder ends, however it ends, so it is never stale. SQLite is asked because it locks files on every system; nothing is stored.
 * Only its owner can read the file, as whoever can may also lock it. Throws where it cannot be made or opened for writing.
 */
export const takeLock = (file: string): { release(): void } | undefined => {
  ensurePrivateFile(file);
  const database = new Database(file);
  try {
    database.run('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { code?: string }).code === 'SQLITE_BUSY') return undefined;
    throw error;
  }
  return { release: () => database.close() };
};
