/**
 * The messages that Kafka acknowledged although sending failed with this error, as the objects that were sent. Our patch of
 * kafkajs names them.
 */
export const acknowledgedBefore = (error: unknown): ReadonlySet<object> =>
  new Set((error as { acknowledged?: object[] }).acknowledged);
