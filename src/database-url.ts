/** How sure a connection to PostgreSQL is of the server, as libpq names it. `allow` and `prefer` protect from nobody. */
const tlsOf = {
  disable: false,
  /** Encrypted, whoever the server is. */
  require: { rejectUnauthorized: false },
  /** Its certificate is from an authority that is trusted, for whatever host. */
  'verify-ca': { checkServerIdentity: () => undefined },
  'verify-full': {},
} as const;

export type DatabaseAddress = {
  host: string | undefined;
  port: number | undefined;
  username: string | undefined;
  password: string | undefined;
  database: string | undefined;
  /** Options of TLS; false: none. */
  ssl: (typeof tlsOf)[keyof typeof tlsOf];
  /** What the server is told of the session. */
  session: Record<string, string>;
};

/**
 * Of a URL as libpq has it, with one host. Undefined if it is none, or if anything of it would not be heeded: who asks for a
 * connection that is verified must not get another one.
 */
export const parseDatabaseUrl = (text: string): DatabaseAddress | undefined => {
  const url = URL.parse(text);
  if (!url || !/^postgres(ql)?:$/.test(url.protocol) || url.hash) return undefined;
  const { sslmode = 'disable', application_name, options, ...rest } = Object.fromEntries(url.searchParams);
  if (!Object.hasOwn(tlsOf, sslmode) || Object.keys(rest).length > 0) return undefined;
  if (url.hostname.includes(',')) return undefined;
  try {
    const decoded = (part: string) => decodeURIComponent(part) || undefined;
    return {
      host: decoded(url.hostname.replace(/^\[|\]$/g, '')),
      port: Number(url.port) || undefined,
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
