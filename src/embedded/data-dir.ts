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
