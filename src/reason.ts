/** A PostgreSQL that has become a standby, or was told to take no writes. */
export const readOnly = 'it is read-only';

/** What drivers and systems call the same thing, and our word for it: the first that fits is taken. */
const reasons: [RegExp, string][] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'its certificate is for another host name'],
  [/^CERT_HAS_EXPIRED$|^CERT_NOT_YET_VALID$/, 'its certificate is not valid at this time'],
  [
    /^UNABLE_TO_|^SELF_SIGNED_|^DEPTH_ZERO_|^CERT_/,
    'its certificate is not from an authority that is trusted',
  ],
  [/^ERR_SSL_|before secure TLS/, 'no TLS connection comes about'],
  [/^28(000|P01)$|^WRONGPASS$|^NOAUTH$|SASL/, 'it refuses the login'],
  [/^42501$|AUTHORIZATION_FAILED$|^NOPERM$/, 'it refuses a right that is needed'],
  [/^3D000$/, 'it has no such database'],
  [/^42P01$/, 'the tables are not there'],
  [/^53300$/, 'it has too many connections'],
  [/^25006$/, readOnly],
  [/^TARGET_SESSION_ATTRS$/, 'no server is what target_session_attrs asks for'],
  [/sentinels are unreachable/, 'no Sentinel names its primary'],
  [/^DENIED$/, 'its protected mode refuses connections from other hosts'],
  [/^READONLY$/, readOnly],
  [/^57P0[123]$|^LOADING$/, 'it is starting or stopping'],
  [/^ECONNREFUSED$/, 'connection refused'],
  [/^ENOTFOUND$|^EAI_/, 'its host name is not known'],
  [/^EHOSTUNREACH$|^ENETUNREACH$/, 'no way to its host'],
  [/COORDINATOR|^GROUP_LOAD_IN_PROGRESS$/, 'the group has no coordinator'],
  [/TIMED?_?OUT|timeout|timed out|no answer within/i, 'no answer in time'],
  [/^ECONNRESET$|^EPIPE$|^CONNECTION_|closed/i, 'the connection was closed'],
];

/** A Redis Cluster's client keeps what a node said in a field of its own. */
const causeOf = ({ cause, lastNodeError }: { cause?: unknown; lastNodeError?: unknown }) =>
  cause ?? lastNodeError;

/** What an error says of itself, and what caused it, in the words and codes of whoever made it. */
const signsOf = (error: unknown): string[] => {
  const signs: unknown[] = [];
  for (let next = error, depth = 0; next instanceof Object && depth < 5; next = causeOf(next), depth++) {
    const { name, code, type, message } = next as Record<string, unknown>;
    // Redis begins what it refuses with a code: `WRONGPASS invalid username-password pair`.
    const [redisCode] = name === 'ReplyError' ? String(message).split(' ', 1) : [];
    signs.push(type, code, redisCode, name, message);
  }
  return signs.filter((sign) => typeof sign === 'string');
};

const isCode = (sign: string) => /^[A-Z][A-Z0-9_]{2,50}$|^[0-9A-Z]{5}$/.test(sign);

/**
 * Why a service does not work, for anybody to read: `/readyz` shows it. Drivers' own words name hosts, users and databases,
 * so they go to the log alone.
 */
export const reasonOf = (error: unknown): string => {
  const signs = signsOf(error);
  const [, words] = reasons.find(([pattern]) => signs.some((sign) => pattern.test(sign))) ?? [];
  const code = signs.find(isCode);
  return (words ?? 'an error') + (code ? ` (${code})` : '');
};
