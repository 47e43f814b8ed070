/**
 * Time limits of a stop, in ms. Normally a stop takes a fraction of them; they matter when a service hangs.
 *
 *   SIGTERM, then for STOP_DELAY (5 s by default, not on SIGINT) lookups are still answered. Meanwhile, in parallel:
 *     consumer thread 8 s
 *       consumer 7 s: batches in flight 4 s, then leaving the group 2 s
 *       disconnecting the producer of dead letters 2 s, flushing its traces 2 s
 *   After both: running requests 3 s, connections to PostgreSQL 1 s,
 *     embedded PostgreSQL: fast shutdown 5 s, immediate shutdown 2 s,
 *     flushing traces 2 s.
 *
 * All of them together can exceed `process`, after which the process exits whatever still hangs: 9.5 s after STOP_DELAY, so
 * below the 10 s that Docker waits, if there is no delay, and below the 15 s that docs/operations.md asks for with the default.
 */
export const stopTimeoutsMs = {
  process: 9_500,
  consumerThread: 8_000,
  consumer: 7_000,
  batchesInFlight: 4_000,
  leaveGroup: 2_000,
  deadLetters: 2_000,
  requests: 3_000,
  postgresFast: 5_000,
  postgresImmediate: 2_000,
  traces: 2_000,
} as const;
