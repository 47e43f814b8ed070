/** A PostgreSQL that has become a standby, or was told to take no writes. */
export const readOnly = 'it is read-only';

/** Codes and names of errors that mean the same, and our word for it: the first that fits is taken. */
const byCode: [RegExp, string][] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'its certificate is for another host name'],
  [/^CERT_HAS_EXPIRED$|^CERT_NOT_YET_VALID$/, 'its certificate is not valid at this time'],
  [
    /^UNABLE_TO_|^SELF_SIGNED_|^DEPTH_ZERO_|^CERT_/,
    'its certificate is not from an authority that is trusted',
  ],
  [/^ERR_SSL_/, 'no TLS connection comes about'],
  [/^28(000|P01)$|^WRONGPASS$|^NOAUTH$|SASL/, 'it refuses the login'],
  [/^42501$|AUTHORIZATION_FAILED$|^NOPERM$/, 'it refuses a right that is needed'],
  [/^3D000$/, 'it has no such database'],
  [/^42P01$/, 'the tables are not there'],
  [/^53100$/, 'its disk is full'],
  [/^53300$/, 'it has too many connections'],
  [/^25006$|^READONLY$/, readOnly],
  [/^TARGET_SESSION_ATTRS$/, 'no server is what target_session_attrs asks for'],
  [/^DENIED$/, 'its protected mode refuses connections from other hosts'],
  [/^57P0[123]$|^LOADING$/, 'it is starting or stopping'],
  [/^ECONNREFUSED$/, 'connection refused'],
  [/^ENOTFOUND$|^EAI_/, 'its host name is not known'],
  [/^EHOSTUNREACH$|^ENETUNREACH$/, 'no way to its host'],
  [/COORDINATOR|^GROUP_LOAD_IN_PROGRESS$/, 'the group has no coordinator'],
  // 57014: PostgreSQL has cancelled the query, as a statement_timeout does.
  [/TIMED?_?OUT|Timeout|^57014$/, 'no answer in time'],
  [/^ECONNRESET$|^EPIPE$|^CONNECTION_/, 'the connection was closed'],
];

/** Messages of errors without any code. One that has a code is not judged by what it quotes, such as a value or a setting. */
const byMessage: [RegExp, string][] = [
  [/before secure TLS/, 'no TLS connection comes about'],
  [/sentinels are unreachable/, 'no Sentinel names its primary'],
  [/timeout|timed out|no answer within/i, 'no answer in time'],
  [/closed/i, 'the connection was closed'],
];

/** A Redis Cluster's client keeps what a node said in a field of its own. */
const causeOf = ({ cause, lastNodeError }: { cause?: unknown; lastNodeError?: unknown }) =>
  cause ?? lastNodeError;

/** A message may quote what was sent, of any length. */
const longest = 1_000;

/** What an error is called, and what caused it, by whoever made it; and the messages of those that have no code. */
const signsOf = (error: unknown) => {
  const codes: string[] = [];
  const messages: string[] = [];
  for (let next = error, depth = 0; next instanceof Object && depth < 5; next = causeOf(next), depth++) {
    const { name, code, type, message } = next as Record<string, unknown>;
    // Redis begins what it refuses with a code: `WRONGPASS invalid username-password pair`.
    const [redisCode] = name === 'ReplyError' ? String(message).split(' ', 1) : [];
    const own = [type, code, redisCode].filter((sign) => typeof sign === 'string');
    codes.push(...own);
    if (typeof name === 'string') codes.push(name);
    if (own.length === 0 && typeof message === 'string') messages.push(message);
  }
  const cut = (sign: string) => sign.slice(0, longest);
  return { codes: codes.map(cut), messages: messages.map(cut) };
};

const isCode = (sign: string) => /^[A-Z][A-Z0-9_]{2,50}$|^[0-9A-Z]{5}$/.test(sign);

const wordsFor = (reasons: typeof byCode, signs: string[]) =>
  reasons.find(([pattern]) => signs.some((sign) => pattern.test(sign)))?.[1];

/**
 * Why a service does not work, for anybody to read: `/readyz` shows it. Drivers' own words name hosts, users and databases,
 * so they go to the log alone.
 */
export const reasonOf = (error: unknown): string => {
  const { codes, messages } = signsOf(error);
  const words = wordsFor(byCode, codes) ?? wordsFor(byMessage, messages) ?? 'an error';
  const code = codes.find(isCode);
  return words + (code ? ` (${code})` : '');
};
