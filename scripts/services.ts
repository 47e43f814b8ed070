/** `bun run services`: runs Kafka, PostgreSQL and Redis in the background, without containers. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { takeLock } from '../src/embedded/lock.ts';
import { clusterTitles, startCluster } from './services/cluster.ts';
import { findRunning, stopRunning } from './services/service.ts';
import { startServices } from './services/start.ts';

const usage = `Usage: bun run services up|down|status [--cluster] [--instance NAME] [--keep]

  up       start Apache Kafka, PostgreSQL and Redis on free ports of 127.0.0.1
           (--cluster: three brokers, a primary and a standby of PostgreSQL, Redis with a replica and three Sentinels)
  down     stop them and remove their data (--keep: leave the data for the next up)
  status   show which of them run; exit status 1 unless all do

  --instance NAME   a separate set of services, in .services/NAME (also: SERVICES_INSTANCE)
`;

const names = ['kafka', 'postgres', 'redis'] as const;
const singleTitles: Record<string, string> = {
  kafka: 'Apache Kafka',
  postgres: 'PostgreSQL',
  redis: 'Redis',
};
const root = join(import.meta.dir, '../.services');

const instanceDir = (instance: string | undefined): string => {
  if (!instance) return root;
  if (
    !/^[a-z0-9][a-z0-9_-]*$/i.test(instance) ||
    [...names, ...Object.keys(clusterTitles), 'kafka-libs', 'env', 'lock'].includes(instance)
  ) {
    throw new Error(`not a name for an instance: ${instance}`);
  }
  return join(root, instance);
};

/** The services of this instance: their folders and titles. */
const titlesOf = (dir: string) => (existsSync(join(dir, 'kafka-1')) ? clusterTitles : singleTitles);

const running = (dir: string) =>
  Object.keys(titlesOf(dir)).map((name) => [name, findRunning(join(dir, name))] as const);

/** For the terminal: the env file has the password. */
const withoutPassword = (url: string) => url.replace(/:[^:@/]+@/, ':…@');

const show = (dir: string) => {
  for (const [name, found] of running(dir)) {
    const where = found
      ? `${Object.values(found.gives).map(withoutPassword).join(' ')}  (pid ${found.pid})`
      : 'not running';
    console.log(`  ${titlesOf(dir)[name]?.padEnd(14)} ${where}`);
  }
};

const startSingle = async (dir: string): Promise<Record<string, string>> => {
  const services = await startServices({ dir, which: names });
  const pairs = names.flatMap((name) => [
    ...Object.entries(services[name].gives),
    [`${name.toUpperCase()}_PID`, String(services[name].pid)],
  ]);
  return Object.fromEntries(pairs);
};

const up = async (dir: string, cluster: boolean) => {
  const isCluster = titlesOf(dir) === clusterTitles;
  if (cluster ? existsSync(join(dir, 'kafka')) : isCluster) {
    const place = relative(process.cwd(), dir);
    throw new Error(
      `${place} holds ${isCluster ? 'a cluster' : 'single services'}: run down first, or choose another --instance`,
    );
  }
  const already = isCluster === cluster && running(dir).every(([, found]) => found);
  const variables = cluster ? (await startCluster({ dir })).env : await startSingle(dir);
  const env = join(dir, 'env');
  const lines = Object.entries(variables).map(([variable, value]) => `${variable}=${value}`);
  writeFileSync(env, `${lines.join('\n')}\n`, { mode: 0o600 });
  const file = relative(process.cwd(), env);
  console.log(already ? 'Already up:' : 'Up:');
  show(dir);
  console.log(
    `Use them with  bun --env-file=${file} <script>  or  set -a; . ${file}\nLogs: ${relative(process.cwd(), dir)}/*/log`,
  );
};

const down = async (dir: string, keep: boolean) => {
  const titles = titlesOf(dir);
  const stop = async (name: string) => {
    const pid = await stopRunning(join(dir, name));
    if (!keep) rmSync(join(dir, name), { recursive: true, force: true });
    console.log(pid ? `${titles[name]} stopped (pid ${pid})` : `${titles[name]} was not running`);
  };
  await Promise.all(Object.keys(titles).map(stop));
  for (const file of keep ? ['env'] : ['env', 'kafka-cluster-id']) rmSync(join(dir, file), { force: true });
  if (dir !== root && !keep) rmSync(dir, { recursive: true, force: true });
};

/** Returns the exit status. */
const status = (dir: string): number => {
  show(dir);
  if (!running(dir).every(([, found]) => found)) return 1;
  if (!existsSync(join(dir, 'env'))) console.log('The env file is missing: run up once more.');
  return 0;
};

/** Runs the command under the lock of the instance. */
const withLock = async (dir: string, command: (dir: string) => Promise<void>) => {
  mkdirSync(dir, { recursive: true });
  const lock = takeLock(join(dir, 'lock'));
  if (!lock) throw new Error(`another up or down is running in ${relative(process.cwd(), dir)}`);
  await command(dir).finally(lock.release);
};

const main = async (): Promise<number> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      instance: { type: 'string' },
      cluster: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean' },
    },
  });
  const dir = instanceDir(values.instance ?? process.env.SERVICES_INSTANCE);
  const [command] = positionals;
  if (values.help) console.log(usage);
  else if (positionals.length !== 1)
    throw new Error('one command is expected: up, down or status (see --help)');
  else if (command === 'up') await withLock(dir, () => up(dir, values.cluster));
  else if (command === 'down') await withLock(dir, () => down(dir, values.keep));
  else if (command === 'status') return status(dir);
  else throw new Error(`unknown command: ${command}; these are: up, down, status (see --help)`);
  return 0;
};

// Not `exitWith`: a message may include lines of a service's log.
try {
  process.exitCode = await main();
} catch (error) {
  console.error(`services: ${(error as Error).message}`);
  process.exitCode = 1;
}
