import type { Config } from '../config/settings.ts';
import { postgresUrlFile } from '../embedded/data-dir.ts';
import { readFileStart } from '../embedded/private-files.ts';
import { errorText } from '../observability/error-text.ts';
import { parseDatabaseUrl } from '../postgres/url.ts';

/** What a command prints if `databaseUrlOf` is undefined. */
export const noDatabase = 'DATABASE_URL is not set, and no embedded PostgreSQL has run in DATA_DIR';

/**
 * The database of a command, which uses the embedded one of `bun start` unless DATABASE_URL is set. Undefined if there is none. Throws
 * an Error of one line if the file with its URL cannot be read.
 */
export const databaseUrlOf = ({
  databaseUrl,
  dataDir,
}: Pick<Config, 'databaseUrl' | 'dataDir'>): string | undefined =>
  databaseUrl ?? (readFileStart(postgresUrlFile(dataDir), 1_000)?.trim() || undefined);

/** The servers of a URL as `host:port`, without the login. */
export const hostsOf = (url: string): string =>
  (parseDatabaseUrl(url)?.servers ?? [])
    .map(({ host = 'localhost', port = 5432 }) => `${host}:${port}`)
    .join(',');

/** The error for a command: one that says that PostgreSQL cannot be reached if that is the reason; otherwise the error itself. */
export const explainDatabase = (
  error: unknown,
  url: string,
  { databaseUrl }: Pick<Config, 'databaseUrl'>,
): unknown => {
  const { code } = (error ?? {}) as { code?: unknown };
  if (!/^(E[A-Z_]{4,}|CONNECT\w*)$/.test(String(code))) return error;
  const hint = databaseUrl === null ? ' (DATABASE_URL is not set; does `bun start` run?)' : '';
  return new Error(`PostgreSQL at ${hostsOf(url)} does not answer: ${errorText(error)}${hint}`, {
    cause: error,
  });
};
