/** How sure a connection to PostgreSQL is of the server, as libpq names it. `allow` and `prefer` protect from nobody. */
const tlsOf = {
  disable: false,
  /** Encrypted, whoever the server is. */
  require: { rejectUnauthorized: false },
  /** Its certificate is from an authority that is trusted, for whatever host. */
  'verify-ca': { checkServerIdentity: () => undefined },
  'verify-full': {},
} as const;

/** Which of several servers is connected to, as libpq names it. */
const targets = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;
export type Target = (typeof targets)[number];

export type DatabaseAddress = {
  /** Tried in this order. One without a host is on this machine. */
  servers: { host: string | undefined; port: number | undefined }[];
  target: Target | undefined;
  username: string | undefined;
  password: string | undefined;
  database: string | undefined;
  /** Options of TLS; false: none. */
  ssl: (typeof tlsOf)[keyof typeof tlsOf];
  /** What the server is told of the session. */
  session: Record<string, string>;
};

/** The URL with a password that may hold any character. Undefined where it names no user, or has a password already. */
export const withPassword = (databaseUrl: string, password: string): string | undefined => {
  const [all, beforePassword] = /^(postgres(?:ql)?:\/\/[^:@/?#]+)@/.exec(databaseUrl) ?? [];
  if (all === undefined) return undefined;
  return `${beforePassword}:${encodeURIComponent(password)}@${databaseUrl.slice(all.length)}`;
};

/** Scheme and login; hosts; path, parameters and fragment. A password may hold a comma, and hosts stand after the last @. */
const parts = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/;

/**
 * Of a URL as libpq has it, with one host or several. Undefined if it is none, or if anything of it is not supported: who asks
 * for a connection that is verified must not get another one.
 */
export const parseDatabaseUrl = (text: string): DatabaseAddress | undefined => {
  const [, login, hosts = '', rest] = parts.exec(text) ?? [];
  const urls = hosts.split(',').map((host) => URL.parse(`${login}${host}${rest}`));
  const [url] = urls;
  if (!login || !url || url.hash) return undefined;
  const {
    sslmode = 'disable',
    target_session_attrs,
    application_name,
    options,
    ...unsupported
  } = Object.fromEntries(url.searchParams);
  if (!Object.hasOwn(tlsOf, sslmode) || Object.keys(unsupported).length > 0) return undefined;
  const target = targets.find((name) => name === target_session_attrs);
  if (target_session_attrs !== undefined && !target) return undefined;
  try {
    const decoded = (part: string) => decodeURIComponent(part) || undefined;
    const servers = urls.map((server) => ({
      host: decoded(server?.hostname.replace(/^\[|\]$/g, '') ?? ''),
      port: Number(server?.port) || undefined,
    }));
    if (servers.length > 1 && servers.some(({ host }) => host === undefined)) return undefined;
    return {
      servers,
      target,
      username: decoded(url.username),
      password: decoded(url.password),
      database: decoded(url.pathname.slice(1)),
      ssl: tlsOf[sslmode as keyof typeof tlsOf],
      session: { ...(application_name && { application_name }), ...(options && { options }) },
    };
  } catch {
    return undefined;
  }
};
