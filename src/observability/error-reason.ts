/** PostgreSQL or Redis became a standby or replica, or PostgreSQL is set to read-only. */
export const readOnly = 'it is read-only';

/** Reasons by the codes and names of errors; the first match wins. */
const byCode: [RegExp, string][] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'its certificate is for another host name'],
  [/^CERT_HAS_EXPIRED$|^CERT_NOT_YET_VALID$/, 'its certificate has expired or is not valid yet'],
  [/^UNABLE_TO_|^SELF_SIGNED_|^DEPTH_ZERO_|^CERT_/, 'its certificate is not from a trusted authority'],
  [/^ERR_SSL_/, 'TLS handshake failed'],
  [/^28(000|P01)$|^WRONGPASS$|^NOAUTH$|SASL/, 'authentication failed'],
  [/^42501$|AUTHORIZATION_FAILED$|^NOPERM$/, 'permission denied'],
  [/^3D000$/, 'database does not exist'],
  [/^42P01$/, 'tables do not exist'],
  [/^53100$/, 'disk full'],
  [/^53300$/, 'too many connections'],
  [/^25006$|^READONLY$/, readOnly],
  [/^TARGET_SESSION_ATTRS$/, 'no server matches target_session_attrs'],
  [/^DENIED$/, 'its protected mode refuses connections from other hosts'],
  [/^57P0[123]$|^LOADING$/, 'starting up or shutting down'],
  [/^ECONNREFUSED$/, 'connection refused'],
  [/^ENOTFOUND$|^EAI_/, 'host name not found'],
  [/^EHOSTUNREACH$|^ENETUNREACH$/, 'host unreachable'],
  [/^LEADER_NOT_AVAILABLE$/, 'no leader'],
  [/^NOT_LEADER_|_LEADER_EPOCH$/, 'its leader has moved'],
  [/^CORRUPT_MESSAGE$/, "damaged on the broker's disk"],
  [/^KAFKA_STORAGE_ERROR$/, "the broker's disk has failed"],
  [/^UNKNOWN_TOPIC_OR_PARTITION$/, 'topic does not exist'],
  [/MetadataNotLoaded$/, 'the leaders of its partitions are not known'],
  [/COORDINATOR|GroupCoordinatorNotFound$|^GROUP_LOAD_IN_PROGRESS$/, 'group coordinator not available'],
  [/^57014$/, 'PostgreSQL cancelled the query, as after its statement_timeout'],
  [/^55P03$/, 'PostgreSQL cancelled the query, as after its lock_timeout'],
  [/TIMED?_?OUT|Timeout/, 'no answer in time'],
  [/^ECONNRESET$|^EPIPE$|^CONNECTION_|^ERR_STREAM_WRITE_AFTER_END$/, 'connection closed'],
];

/** Reasons by message, for errors without a code only: the message of one with a code may quote a value or a setting. */
const byMessage: [RegExp, string][] = [
  [/before secure TLS/, 'TLS handshake failed'],
  [/sentinels are unreachable/, 'no Sentinel knows its primary'],
  [/^Kafka returns no messages/, 'Kafka returns no messages, though there are more'],
  [/^Broker -1 not found/, 'no leader'],
  [/^No broker available|^No brokers in|^Broker \d+ not found/, 'no broker answers'],
  [/timeout|timed out|no answer within/i, 'no answer in time'],
  [/closed/i, 'connection closed'],
];

type WithCause = { cause?: unknown; lastNodeError?: unknown; errors?: unknown };

/** ioredis keeps the error of a cluster's node in `lastNodeError`, kafkajs those of the topics of a request in `errors`. */
const causeOf = ({ cause, lastNodeError, errors }: WithCause) =>
  cause ?? lastNodeError ?? (Array.isArray(errors) ? errors[0] : undefined);

/** In characters: a message may quote input of any length. */
const maxSignLength = 1_000;

/** Codes, types and names of the error and its causes, and the messages of those without a code. */
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
  const cut = (sign: string) => sign.slice(0, maxSignLength);
  return { codes: codes.map(cut), messages: messages.map(cut) };
};

const isCode = (sign: string) => /^[A-Z][A-Z0-9_]{2,50}$|^[0-9A-Z]{5}$/.test(sign);

const wordsFor = (reasons: typeof byCode, signs: string[]) =>
  reasons.find(([pattern]) => signs.some((sign) => pattern.test(sign)))?.[1];

/**
 * Why a service is unavailable, without hosts, users or databases, since `/readyz` shows it to every client. The driver's own message
 * belongs in the log only. An error may have a `publicReason` of its own.
 */
export const reasonOf = (error: unknown): string => {
  const { publicReason } = (error ?? {}) as { publicReason?: unknown };
  if (typeof publicReason === 'string') return publicReason;
  const { codes, messages } = signsOf(error);
  const words = wordsFor(byCode, codes) ?? wordsFor(byMessage, messages) ?? 'unexpected error';
  const code = codes.find(isCode);
  return words + (code ? ` (${code})` : '');
};
