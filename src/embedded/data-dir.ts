import { ensurePrivateFolder } from './private-files.ts';

/** What this program keeps in the data directory, by which it knows its own. */
const ours = ['kafka', 'postgres', 'postgres.lock'];

/**
 * Makes the data directory, for its owner alone. One that is there and holds nothing, or what is ours, is closed to others; one
 * that serves other purposes stays as open as it is. Throws an Error that says why it cannot be used.
 */
export const ensureDataDir = (dataDir: string) =>
  ensurePrivateFolder(
    dataDir,
    (entries) => entries.length === 0 || ours.some((name) => entries.includes(name)),
  );
