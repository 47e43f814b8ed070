import { chownSync, closeSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { cannotRun, codeOf } from './errors.ts';

export type User = { uid: number; gid: number };

/** The user and group called `nobody`, by their usual numbers where the system does not say. */
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
 * The user that PostgreSQL runs as when we are root, which it refuses to be: the owner of `home`, which is made `nobody`'s
 * when it is root's. Undefined when we are not root.
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
 * Runs PostgreSQL's programs with their data in `home`, as `user` if one is given. That user may not be able to enter the
 * folders above `home`, but needs not: the program gets it as an open directory and reaches it as `place`.
 */
export const createRunner = (home: string, user: User | undefined) => {
  const onDeath = Bun.which('setpriv');
  return {
    place: user ? '/proc/self/fd/3' : home,
    /**
     * In a session of its own, so that Ctrl-C reaches us alone. Where `setpriv` exists, it gets SIGINT, a fast shutdown,
     * when the thread that calls this ends, even by kill -9. Throws when the program cannot be executed.
     */
    run: (command: string[], input?: string) => {
      const directory = openSync(home, 'r');
      try {
        return Bun.spawn([...(onDeath ? [onDeath, '--pdeathsig', 'INT'] : []), ...command], {
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

/** The output and exit code of a program that `run` started, once it ended. */
export const finished = async (child: ReturnType<Runner['run']>) => {
  const [out, error, code] = await Promise.all([
    Bun.readableStreamToText(child.stdout),
    Bun.readableStreamToText(child.stderr),
    child.exited,
  ]);
  return { out, error, code };
};
