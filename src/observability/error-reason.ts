import { readOnly, sqlStateReason } from './sqlstate-reason.ts';

/** Reasons by the codes and names of errors but those of PostgreSQL; the first match wins. */
const byCode: [RegExp, string][] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'its certificate is for another host name'],
  [/^CERT_HAS_EXPIRED$|^CERT_NOT_YET_VALID$/, 'its certificate has expired or is not valid yet'],
  [/^UNABLE_TO_|^SELF_SIGNED_|^DEPTH_ZERO_|^CERT_/, 'its certificate is not from a trusted authority'],
  [/^ERR_SSL_/, 'TLS handshake failed'],
  [/^WRONGPASS$|^NOAUTH$|SASL/, 'authentication failed'],
  [/AUTHORIZATION_FAILED$|^NOPERM$/, 'permission denied'],
  [/^READONLY$/, readOnly],
  [/^OOM$/, 'out of memory'],
  [/^MISCONF$/, 'its disk cannot be written'],
  [/^MASTERDOWN$/, 'no connection to its primary'],
  [/^CLUSTERDOWN$/, 'the cluster does not serve all keys'],
  [/^NOREPLICAS$/, 'too few replicas'],
  [/^TARGET_SESSION_ATTRS$/, 'no server matches target_session_attrs'],
  [/^DENIED$/, 'its protected mode refuses connections from other hosts'],
  [/^LOADING$/, 'starting up or shutting down'],
  [/^ECONNREFUSED$/, 'connection refused'],
  [/^ENOTFOUND$|^EAI_/, 'host name not found'],
  [/^EHOSTUNREACH$|^ENETUNREACH$/, 'host unreachable'],
  [/^LEADER_NOT_AVAILABLE$/, 'no leader'],
  [/^NOT_LEADER_|_LEADER_EPOCH$/, 'its leader has moved'],
  [/^NOT_ENOUGH_REPLICAS/, 'too few in-sync replicas'],
  [/^CORRUPT_MESSAGE$/, "damaged on the broker's disk"],
  [/^KAFKA_STORAGE_ERROR$/, "the broker's disk has failed"],
  [/^UNKNOWN_TOPIC_OR_PARTITION$/, 'topic does not exist'],
  [/MetadataNotLoaded$/, 'the leaders of its partitions are not known'],
  [/COORDINATOR|GroupCoordinatorNotFound$|^GROUP_LOAD_IN_PROGRESS$/, 'group coordinator not available'],
  [/BrokerNotFound$/, 'no broker answers'],
  [/TIMED?_?OUT|Timeout/, 'no answer in time'],
  [/^ECONNRESET$|^EPIPE$|^CONNECTION_|^ERR_STREAM_WRITE_AFTER_END$/, 'connection closed'],
];

/** Reasons by message, for errors without a code only: the message of one with a code may quote a value or a setting. */
const byMessage: [RegExp, string][] = [
  [/before secure TLS/, 'TLS handshake failed'],
  [/sentinels are unreachable/, 'no Sentinel knows its primary'],
  [/^No broker available/, 'no broker answers'],
  [/timeout|timed out/i, 'no answer in time'],
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

const ofPostgres = (codes: string[]) => codes.map(sqlStateReason).find((reason) => reason !== undefined);

/**
 * Why a service is unavailable, without hosts, users or databases, since `/readyz` shows it to every client. The driver's own message
 * belongs in the log only. An error may have a `publicReason` of its own.
 */
export const reasonOf = (error: unknown): string => {
  const { publicReason } = (error ?? {}) as { publicReason?: unknown };
  if (typeof publicReason === 'string') return publicReason;
  const { codes, messages } = signsOf(error);
  const words =
    ofPostgres(codes) ?? wordsFor(byCode, codes) ?? wordsFor(byMessage, messages) ?? 'unexpected error';
  const code = codes.find(isCode);
  return words + (code ? ` (${code})` : '');
};
