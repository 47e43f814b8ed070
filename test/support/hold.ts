import type { Sql } from 'postgres';

/** Runs `statement` in a transaction that stays open until the function that this returns is called. */
export const hold = async (sql: Sql, statement: string) => {
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const ended = sql.begin(async (tx) => {
    await tx.unsafe(statement);
    begun.resolve();
    await release.promise;
  });
  await begun.promise;
  return async () => {
    release.resolve();
    await ended;
  };
};
