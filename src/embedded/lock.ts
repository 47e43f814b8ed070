import { Database } from 'bun:sqlite';
import { existsSync } from 'node:fs';
import { ensurePrivateFile } from './private-files.ts';

/**
 * Takes a lock on `file`, or returns undefined while another process holds it. The kernel releases it when the process ends in any
 * way, so it is never stale. SQLite is used because it can lock files on every system; nothing is stored. The file is readable by
 * its owner only, since any reader could lock it. Throws if it cannot be created or opened for writing.
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

/** Whether another process holds the lock of `file`. Creates nothing. */
export const isLocked = (file: string): boolean => {
  if (!existsSync(file)) return false;
  try {
    const lock = takeLock(file);
    lock?.release();
    return lock === undefined;
  } catch {
    // Whoever needs the lock reports why it cannot be taken.
    return false;
  }
};
