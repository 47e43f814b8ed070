import postgres, { type Sql } from 'postgres';
import { parseDatabaseUrl, type Target } from './url.ts';

const quoted = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;

/**
 * The arrays that this program sends, by PostgreSQL's numbers of their types. The library would ask for them at each
 * connect, and if the connection ends meanwhile, that is a rejection which nobody can handle: it ends the process.
 */
const arrays = {
  texts: {
    to: 1009,
    from: [],
    serialize: (values: string[]) => `{${values.map(quoted)}}`,
    parse: (text: string) => text,
  },
  bigints: {
    to: 1016,
    from: [],
    serialize: (values: number[]) => `{${values}}`,
    parse: (text: string) => text,
  },
};

type Options = {
  url: string;
  connections: number;
  /** What `pg_stat_activity` shows. */
  name: string;
  /** A connection that owes an answer and has been silent for so long is given up, and its query cancelled, in s; unset: never. */
  silenceTimeoutSeconds?: number;
  /** Which of several servers is taken, where the URL does not say; unset: the one that can be written to. */
  severalServers?: Target;
};

/**
 * A pool of connections to PostgreSQL, opened as they are needed. A server that is away is tried again at most a
 * second later, so that its return is noticed at once. A connection that turns out to be read-only is left.
 */
export const openDatabase = (options: Options): Sql => {
  const {
    url,
    connections,
    name,
    silenceTimeoutSeconds: silenceAtMost = 0,
    severalServers = 'read-write',
  } = options;
  const address = parseDatabaseUrl(url);
  if (!address) throw new Error('not the URL of a PostgreSQL');
  const { servers, target = servers.length > 1 ? severalServers : 'any', session, ...login } = address;
  const [{ host, port } = {}] = servers;
  // In parts, as the library reads a URL in its own way; and as lists, or it would take an IPv6 address apart.
  const place: object =
    host === undefined
      ? { port }
      : { host: servers.map((server) => server.host), port: servers.map((server) => server.port ?? 5432) };
  return postgres({
    ...place,
    ...login,
    ...(target !== 'any' && { target_session_attrs: target }),
    max: connections,
    // One query at a time on a connection: a cancel frees only the one that runs, and those sent behind it would wait for the same lock.
    max_pipeline: 0,
    connect_timeout: 3,
    // Ours, by a patch: without it a connection to a host that is gone, or frozen, is waited for without end.
    answer_timeout: silenceAtMost,
    fetch_types: false,
    types: arrays,
    backoff: (attempt) => Math.min(0.1 * 2 ** attempt, 1),
    onnotice: () => {},
    // The pool's name always, as going down with the tables looks for consumers by it.
    connection: { ...session, application_name: `${session.application_name ?? 'order-lookup'} ${name}` },
  } as postgres.Options<typeof arrays>);
};

/** `connecting`: until the first query on it is answered. `waiting`: queries that wait for a connection, or behind another query on one. */
export type Pool = { connecting: number; idle: number; busy: number; waiting: number };

/** What a pool's connections do now. By the same patch, as the library does not tell. */
export const poolOf = (sql: Sql): Pool => (sql as Sql & { pool(): Pool }).pool();
