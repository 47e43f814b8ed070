/**
 * For transactions that wait for a lock and have to see what was committed meanwhile, whatever the database's default is. It is said in
 * each, as a connection's parameter would not pass PgBouncer.
 */
export const readCommitted = 'isolation level read committed';
