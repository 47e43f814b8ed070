/** It became a standby or a replica, or is set to read-only. */
export const readOnly = 'it is read-only';

/** By SQLSTATE, or by its class for the other states of the class. */
const reasons: Record<string, string> = {
  '08': 'connection closed',
  '08001': 'connection refused',
  '08004': 'connection refused',
  '08P01': 'protocol error, or a proxy such as PgBouncer refuses the connection',
  '25006': readOnly,
  '25P03': 'PostgreSQL closed the connection, as after its idle_in_transaction_session_timeout',
  '25P04': 'PostgreSQL cancelled the transaction, as after its transaction_timeout',
  '28': 'authentication failed',
  '3D': 'database does not exist',
  '40': 'transaction rolled back',
  '40001': 'serialization failure',
  '40P01': 'deadlock',
  '42501': 'permission denied',
  '42P01': 'tables do not exist',
  '53': 'insufficient resources',
  '53100': 'disk full',
  '53200': 'out of memory',
  '53300': 'too many connections',
  '54': 'a limit of PostgreSQL is exceeded',
  '55': 'object not in the required state',
  '55006': 'object in use',
  '55P03': 'PostgreSQL cancelled the query, as after its lock_timeout',
  '57': 'an operator intervened',
  '57014': 'PostgreSQL cancelled the query, as after its statement_timeout',
  '57P01': 'starting up or shutting down',
  '57P02': 'starting up or shutting down',
  '57P03': 'starting up or shutting down',
  '57P04': 'database was dropped',
  '57P05': 'PostgreSQL closed the connection, as after its idle_session_timeout',
  '58': 'system error',
  '58030': 'disk error',
  XX: 'internal error of PostgreSQL',
  XX001: 'data corrupted',
  XX002: 'data corrupted',
};

const isSqlState = (code: string) => /^[0-9A-Z]{5}$/.test(code);

/** What an operator reads of a SQLSTATE; undefined for any other code, and for states that only a faulty query or order has. */
export const sqlStateReason = (code: string): string | undefined =>
  isSqlState(code) ? (reasons[code] ?? reasons[code.slice(0, 2)]) : undefined;
