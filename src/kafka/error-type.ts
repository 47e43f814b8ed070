/** The name of an error in Kafka's protocol, as kafkajs has it, such as `UNKNOWN_TOPIC_OR_PARTITION`; undefined for any other error. */
export const errorTypeOf = (error: unknown): unknown => (error as { type?: unknown } | null)?.type;
