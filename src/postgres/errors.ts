/** What the errors of PostgreSQL mean, by their SQLSTATE. */

const stateOf = (error: unknown) => (error as { code?: unknown } | null | undefined)?.code;

/** Whether PostgreSQL has cancelled the query, as it does after its `statement_timeout`. */
export const isCancelled = (error: unknown): boolean => stateOf(error) === '57014';

/** Whether the query has waited too long for a lock, and changed nothing. */
export const isLockTimeout = (error: unknown): boolean => stateOf(error) === '55P03';

/** Whether the server is a standby, or is set to read-only. */
export const isReadOnly = (error: unknown): boolean => stateOf(error) === '25006';

/** Whether another transaction has changed what this one relies on; it can be tried again. */
export const isSerializationFailure = (error: unknown): boolean => stateOf(error) === '40001';

/** Whether the role may not do this. */
export const isPermissionDenied = (error: unknown): boolean => stateOf(error) === '42501';

/** Whether a table does not exist: the database was never migrated, or not this far. */
export const isUndefinedTable = (error: unknown): boolean => stateOf(error) === '42P01';

/** Constraints on generated numbers: a sequence behind its table, as after a restore by hand, is no fault of the order. */
const generatedKeys = ['orders_id_key', 'items_pkey'];

/**
 * Whether PostgreSQL rejected the content of an order: a data error, a constraint, or a trigger that raised. After any other error
 * the same orders can be stored later.
 */
export const isDataError = (error: unknown): boolean => {
  const { code, constraint_name: constraint } = (error ?? {}) as { code?: unknown; constraint_name?: string };
  if (typeof code !== 'string' || !/^(22|23)[0-9A-Z]{3}$|^P0001$/.test(code)) return false;
  return !generatedKeys.includes(constraint ?? '');
};
