/** TLS options by libpq's `sslmode`. `allow` and `prefer` are missing, as they protect from no attacker. */
const tlsBySslmode = {
  disable: false,
  /** Encrypts, but does not verify the server. */
  require: { rejectUnauthorized: false },
  /** Verifies the certificate's authority, but not the host. */
  'verify-ca': { checkServerIdentity: () => undefined },
  'verify-full': {},
} as const;

/** libpq's `target_session_attrs`: which of several servers to connect to. */
const targetServers = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;
export type TargetServer = (typeof targetServers)[number];

/** The parameters of a URL, and the values that each may have; null: any text. */
export const databaseParameters = {
  sslmode: Object.keys(tlsBySslmode),
  target_session_attrs: targetServers,
  application_name: null,
  options: null,
};

export type DatabaseAddress = {
  /** Tried in this order. A server without a host is local. */
  servers: { host: string | undefined; port: number | undefined }[];
  target: TargetServer | undefined;
  username: string | undefined;
  password: string | undefined;
  database: string | undefined;
  /** TLS options; false: no TLS. */
  ssl: (typeof tlsBySslmode)[keyof typeof tlsBySslmode];
  /** Parameters of the session: `application_name`, `options`. */
  session: Record<string, string>;
};

/** Adds the password, which may hold any character. Undefined if the URL has no user, or has a password already. */
export const withPassword = (databaseUrl: string, password: string): string | undefined => {
  const [all, beforePassword] = /^(postgres(?:ql)?:\/\/[^:@/?#]+)@/.exec(databaseUrl) ?? [];
  if (all === undefined) return undefined;
  return `${beforePassword}:${encodeURIComponent(password)}@${databaseUrl.slice(all.length)}`;
};

/** Scheme and login; hosts; path, parameters and fragment. As a password may hold @ and commas, hosts come after the last @. */
const parts = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/;

/**
 * Parses a URL of libpq's format, with one host or several. Undefined if it is invalid or has an unsupported parameter: a URL that
 * demands a verified connection must not get an unverified one.
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
  if (!Object.hasOwn(tlsBySslmode, sslmode) || Object.keys(unsupported).length > 0) return undefined;
  const target = targetServers.find((name) => name === target_session_attrs);
  if (target_session_attrs !== undefined && !target) return undefined;
  try {
    const decode = (part: string) => decodeURIComponent(part) || undefined;
    const servers = urls.map((server) => ({
      host: decode(server?.hostname.replace(/^\[|\]$/g, '') ?? ''),
      port: Number(server?.port) || undefined,
    }));
    if (servers.length > 1 && servers.some(({ host }) => host === undefined)) return undefined;
    return {
      servers,
      target,
      username: decode(url.username),
      password: decode(url.password),
      database: decode(url.pathname.slice(1)),
      ssl: tlsBySslmode[sslmode as keyof typeof tlsBySslmode],
      session: { ...(application_name && { application_name }), ...(options && { options }) },
    };
  } catch {
    return undefined;
  }
};
