/** The name of an error in Kafka's protocol, as kafkajs has it, such as `UNKNOWN_TOPIC_OR_PARTITION`; undefined for any other error. */
export const errorTypeOf = (error: unknown): unknown => (error as { type?: unknown } | null)?.type;

/**
 * Whether the error, or one that caused it, is one of these: names of errors in Kafka's protocol, or of kafkajs's own. After several
 * attempts kafkajs wraps the last error in another one.
 */
export const isCausedBy = (error: unknown, names: readonly string[]): boolean => {
  if (!(error instanceof Error)) return false;
  const { type, code, name } = error as { type?: unknown; code?: unknown; name: string };
  return [type, code, name].some((one) => names.includes(one as string)) || isCausedBy(error.cause, names);
};
