import { chownSync, closeSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { cannotRun, codeOf } from './errors.ts';

export type User = { uid: number; gid: number };

/** The user and group `nobody`, by their usual numbers if /etc/passwd does not have them. */
const nobody = (): User => {
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((entry) => entry.startsWith('nobody:'));
    const [, , uid, gid] = line?.split(':') ?? [];
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  } catch {}
  return { uid: 65534, gid: 65534 };
};

/**
 * The user that runs PostgreSQL if this process is root, as PostgreSQL refuses to run as root: the owner of `home`, which is given
 * to `nobody` if it belongs to root. Undefined if this process is not root.
 */
export const serverUser = (home: string): User | undefined => {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = lstatSync(home);
  if (uid !== 0) return { uid, gid };
  const user = nobody();
  try {
    chownSync(home, user.uid, user.gid);
  } catch (error) {
    throw cannotRun(
      `it must not run as root, and ${home} cannot be given to another user (${codeOf(error)})`,
    );
  }
  return user;
};

/**
 * Runs PostgreSQL's programs on data in `home`, as `user` if one is given. That user may have no access to the folders above `home`:
 * the program inherits it as an open directory, whose path is `place`.
 */
export const createRunner = (home: string, user: User | undefined) => {
  const setpriv = Bun.which('setpriv');
  return {
    place: user ? '/proc/self/fd/3' : home,
    /**
     * Starts a program in its own session, so that Ctrl-C does not reach it. Where `setpriv` exists, it gets SIGINT (a fast
     * shutdown) when the calling thread ends, even by kill -9. Throws if the program cannot be executed.
     */
    run: (command: string[], input?: string) => {
      const directory = openSync(home, 'r');
      try {
        return Bun.spawn([...(setpriv ? [setpriv, '--pdeathsig', 'INT'] : []), ...command], {
          cwd: '/',
          env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
          stdio: [input === undefined ? 'ignore' : Buffer.from(input), 'pipe', 'pipe', directory],
          detached: true,
          ...user,
        });
      } finally {
        closeSync(directory);
      }
    },
  };
};
export type Runner = ReturnType<typeof createRunner>;

/** Waits for a program that `run` started to end. */
export const finished = async (child: ReturnType<Runner['run']>) => {
  const [out, error, code] = await Promise.all([
    Bun.readableStreamToText(child.stdout),
    Bun.readableStreamToText(child.stderr),
    child.exited,
  ]);
  return { out, error, code };
};
