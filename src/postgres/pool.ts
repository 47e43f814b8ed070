import postgres, { type Sql } from 'postgres';
import { parseDatabaseUrl, type TargetServer } from './url.ts';

const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** PostgreSQL's array of texts is JSON's but for the brackets, unless JSON has escapes, which differ. */
const toTextArray = (texts: string[]) => {
  const json = JSON.stringify(texts);
  return `{${json.includes('\\') ? texts.map(quote) : json.slice(1, -1)}}`;
};

/**
 * The array types that this program sends, by their OIDs. The library would query them at each connect, and if the connection
 * ends meanwhile, that is an unhandled rejection, which ends the process.
 */
const arrays = {
  texts: {
    to: 1009,
    from: [],
    serialize: toTextArray,
    parse: (text: string) => text,
  },
  bigints: {
    to: 1016,
    from: [],
    serialize: (values: number[]) => `{${values}}`,
    parse: (text: string) => text,
  },
};

/**
 * The forms of texts that the SQL here relies on, whatever those of the server, the database or the role are. A time in another form may
 * be read as that of another zone.
 */
const textForms = { datestyle: 'ISO', standard_conforming_strings: 'on' };

type Options = {
  url: string;
  connections: number;
  /** The end of `application_name`, as `pg_stat_activity` shows it. */
  name: string;
  /** A connection that has not answered for this time is closed, and its query cancelled; unset: never. */
  silenceTimeoutSeconds?: number;
  /** `target_session_attrs` for a URL that has several servers and does not set it; unset: `read-write`. */
  severalServers?: TargetServer;
};

/**
 * A pool of connections to PostgreSQL, opened as they are needed. A server that is down is tried again every second, so that its
 * return is noticed soon. A connection that has become read-only is closed.
 */
export const openDatabase = (options: Options): Sql => {
  const { url, connections, name, silenceTimeoutSeconds = 0, severalServers = 'read-write' } = options;
  const address = parseDatabaseUrl(url);
  if (!address) throw new Error('not the URL of a PostgreSQL');
  const { servers, target = servers.length > 1 ? severalServers : 'any', session, ...login } = address;
  const [{ host, port } = {}] = servers;
  // In parts, as the library parses URLs differently; and as lists, or it would split an IPv6 address at its colons.
  const place: object =
    host === undefined
      ? { port }
      : { host: servers.map((server) => server.host), port: servers.map((server) => server.port ?? 5432) };
  return postgres({
    ...place,
    ...login,
    ...(target !== 'any' && { target_session_attrs: target }),
    max: connections,
    // No pipelining: cancelling a query that waits for a lock frees only that one, and those sent after it wait on.
    max_pipeline: 0,
    connect_timeout: 3,
    // Added by our patch: without it a query to a host that is gone, or frozen, waits without end.
    answer_timeout: silenceTimeoutSeconds,
    fetch_types: false,
    types: arrays,
    backoff: (attempt) => Math.min(0.1 * 2 ** attempt, 1),
    onnotice: () => {},
    // Always ends with the pool's name, by which `undo.ts` finds consumers.
    connection: {
      ...session,
      ...textForms,
      application_name: `${session.application_name ?? 'order-lookup'} ${name}`,
    },
  } as postgres.Options<typeof arrays>);
};

/** Connections: `connecting` until its first query is answered, `idle`, `busy`. `waiting`: queries that wait for a connection. */
type Pool = { connecting: number; idle: number; busy: number; waiting: number };

/** The pool's state, which the library makes known only by our patch. */
export const poolOf = (sql: Sql): Pool => (sql as Sql & { pool(): Pool }).pool();
