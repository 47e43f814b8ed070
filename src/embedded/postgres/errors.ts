/** Messages of the embedded PostgreSQL: each is one line that says what to do. */

const oneLine = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' · ');

/** PostgreSQL's programs do not run on this machine. */
export const cannotRun = (reason: string): Error =>
  new Error(
    `PostgreSQL cannot run here: ${oneLine(reason)}. Set DATABASE_URL to use a PostgreSQL of your own.`,
  );

/** The data directory has a problem that the user must solve. */
export const cannotUse = (directory: string, reason: string): Error =>
  new Error(`PostgreSQL's data directory ${directory} cannot be used: ${oneLine(reason)}`);

/** The system's code of an error (`EACCES`), else its message. */
export const codeOf = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
};
