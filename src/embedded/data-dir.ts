import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { ensurePrivateFolder } from './private-files.ts';

/** Entries by which the program recognizes its own data directory. */
const ownEntries = ['kafka', 'postgres', 'postgres.lock'];

/**
 * Creates the data directory with access for its owner only. An existing one that is empty or our own is closed to others; one with
 * other contents keeps its permissions. Throws an Error with the reason if it cannot be used.
 */
export const ensureDataDir = (dataDir: string) =>
  ensurePrivateFolder(
    dataDir,
    (entries) => entries.length === 0 || ownEntries.some((name) => entries.includes(name)),
  );

/** The file that a run locks while its PostgreSQL uses the data directory. */
export const postgresLock = (dataDir: string) => join(dataDir, 'postgres.lock');
/** The file with the URL of the embedded PostgreSQL, and its password. */
export const postgresUrlFile = (dataDir: string) => join(dataDir, 'postgres.url');

/** `ensureDataDir`, with an Error for the terminal: one line that names the directory and what to do. */
export const openDataDir = (dataDir: string) => {
  try {
    ensureDataDir(dataDir);
    accessSync(dataDir, constants.W_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === undefined ? message : `it cannot be written (${code})`;
    throw new Error(`The data directory ${dataDir} cannot be used: ${reason}. Name another in DATA_DIR.`);
  }
};
