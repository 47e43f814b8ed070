import { Database } from 'bun:sqlite';

/**
 * Takes the lock that `file` stands for, or returns undefined while another holds it. The kernel gives it back when its
 * holder ends, however it ends, so it is never stale. SQLite is asked because it locks files on every system; nothing is stored.
 * Throws SQLite's error where the file cannot be made or opened for writing.
 */
export const takeLock = (file: string): { release(): void } | undefined => {
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
