/** Docker and Compose from tests: a project of its own, apart from any that is running. */
import { join } from 'node:path';

export const root = join(import.meta.dir, '../..');
export const project = `order-lookup-test-${process.pid}`;

type Environment = Record<string, string>;

const spawn = (command: string[], environment: Environment = {}) =>
  Bun.spawn(command, {
    cwd: root,
    env: { ...withoutSettings(), ...environment },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });

/** Only the variables that Docker needs: others may be ones of the compose file. */
const withoutSettings = () =>
  Object.fromEntries(
    ['PATH', 'HOME', 'DOCKER_HOST', 'DOCKER_CONFIG', 'DOCKER_CONTEXT', 'XDG_RUNTIME_DIR']
      .map((name) => [name, process.env[name]] as const)
      .filter(([, value]) => value !== undefined),
  ) as Environment;

/** Runs a command and waits for its end. */
export const finished = async (command: string[], environment?: Environment) => {
  const child = spawn(command, environment);
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { status: await child.exited, output: output.trim(), errors: errors.trim() };
};

/** The output of a command. Rejects with its output and errors if it fails. */
const outputOf = async (command: string[], environment?: Environment) => {
  const { status, output, errors } = await finished(command, environment);
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}:\n${output}\n${errors}`);
  return output;
};

export const docker = (...args: string[]) => outputOf(['docker', ...args]);

const composeCommand = (args: string[], file = 'docker-compose.yml') => [
  ...['docker', 'compose', '--project-name', project, '--env-file', '/dev/null', '--file', file],
  ...args,
];

/** Compose with these variables. */
export const createCompose = (environment: Environment) => {
  const compose = (...args: string[]) => outputOf(composeCommand(args), environment);
  const idsOf = async (service: string) => lines(await compose('ps', '--all', '--quiet', service));
  return Object.assign(compose, {
    idsOf,
    attempt: (args: string[], file?: string) => finished(composeCommand(args, file), environment),
    start: (...args: string[]) => spawn(composeCommand(args), environment),
    sql: (query: string) =>
      compose('exec', '-T', 'postgres', 'psql', '-U', 'orders', '-d', 'orders', '-Atc', query),
    /** A service's log lines of this program. */
    async log(service: string) {
      const text = await compose('logs', '--no-color', '--no-log-prefix', service);
      return lines(text).flatMap((line): LogLine[] => (line.startsWith('{') ? [JSON.parse(line)] : []));
    },
    /** How each container of the project ended. */
    async exitCodes() {
      const ids = lines(await compose('ps', '--all', '--quiet'));
      const format = '{{ index .Config.Labels "com.docker.compose.service" }} {{ .State.ExitCode }}';
      return lines(await docker('inspect', '--format', format, ...ids)).sort();
    },
  });
};

type LogLine = { msg: string } & Record<string, unknown>;

export const lines = (text: string) => text.split('\n').filter((line) => line !== '');

/** All that an engine keeps of projects: it must be the same afterwards. */
export const kept = async () => ({
  containers: lines(await docker('ps', '--all', '--quiet', '--no-trunc')).sort(),
  volumes: lines(await docker('volume', 'ls', '--quiet')).sort(),
  networks: lines(await docker('network', 'ls', '--quiet', '--no-trunc')).sort(),
});

/**
 * Sends requests without pause, four at a time, until it is stopped. Resolves with the answers other than 200, and the longest
 * answer time in ms.
 */
export const startLoad = (url: string, paths: string[]) => {
  const failed: (number | string)[] = [];
  let asked = 0;
  let slowest = 0;
  let asking = true;
  const ask = async () => {
    while (asking) {
      const begun = performance.now();
      const { status } = await fetch(url + paths[asked++ % paths.length]).catch((error) => ({
        status: `${error}`,
      }));
      slowest = Math.max(slowest, performance.now() - begun);
      if (status !== 200) failed.push(status);
    }
  };
  const done = Promise.all([ask(), ask(), ask(), ask()]);
  const stop = async () => {
    asking = false;
    await done;
    return { asked, failed, slowest };
  };
  return { stop, [Symbol.asyncDispose]: async () => void (await stop()) };
};
