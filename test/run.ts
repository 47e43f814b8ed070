/**
 * `bun run test`: the tests that need nothing but this repository, several files at once. All files share the Kafka and
 * PostgreSQL that this process starts, or those that KAFKA_BROKERS and DATABASE_URL name. Arguments go to `bun test`; paths,
 * where only some files are wanted, begin with `./`.
 */
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEmbeddedServices } from './support/embedded-services.ts';

/** Two processors are busy with three files, as a test often waits. */
const workers = 3;
/** These need services, engines or tools of their own, and have commands of their own. */
const others = 'test/{contract,deploy,faults,kubernetes}/**';

/** In memory where there is room: dozens of PostgreSQL clusters are made and removed, and a disk takes minutes for them. */
const parentOfTemporary = async () => {
  const inMemory = '/dev/shm';
  const roomNeeded = 2 * 1024 ** 3;
  const { bavail, bsize } = await statfs(inMemory).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize >= roomNeeded ? inMemory : tmpdir();
};
const temporary = await mkdtemp(join(await parentOfTemporary(), 'order-lookup-tests-'));
// As open as /tmp: where this is root, PostgreSQL runs as another user.
await chmod(temporary, 0o1777);
process.env.TMPDIR = temporary;

/** They start first, so that none of them runs alone at the end. The number of ms only puts them before the others. */
const longest = [
  'packages/kafka-broker/test/clients.test.ts',
  'test/ingest/offset-fence.test.ts',
  'test/main/secrets.test.ts',
  'test/main/main.test.ts',
  'test/http/server.test.ts',
  'test/console/browser.test.ts',
  'test/scripts/services.test.ts',
];
const root = join(import.meta.dir, '..');
// Bun's globs find nothing where a brace contains a slash.
const files = await Array.fromAsync(new Bun.Glob('{test,packages}/**/*.test.ts').scan(root));
const timings = join(temporary, 'timings.json');
await Bun.write(
  timings,
  JSON.stringify({
    version: 1,
    files: Object.fromEntries(files.map((file) => [file, longest.includes(file) ? 60_000 : 1_000])),
  }),
);

const options = process.argv.slice(2);
const hasPaths = options.some((option) => option.startsWith('./'));
const { KAFKA_BROKERS, DATABASE_URL } = process.env;
const services = createEmbeddedServices();
const [brokers, databaseUrl] = await Promise.all([
  KAFKA_BROKERS ?? services.brokers(),
  DATABASE_URL ?? services.databaseUrl(),
]);
const tests = Bun.spawn(
  [
    ...[process.execPath, 'test', '--timeout', '120000', '--path-ignore-patterns', others],
    // The files of a worker share their modules, as they do without --parallel: to load them again for each takes longer.
    ...[
      `--parallel=${workers}`,
      '--no-isolate',
      '--timings',
      timings,
      ...options,
      ...(hasPaths ? [] : ['./test', './packages']),
    ],
  ],
  {
    env: { ...process.env, TEST_BROKERS: brokers, TEST_DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'inherit', 'inherit'],
  },
);
const stop = (signal: NodeJS.Signals) => tests.kill(signal);
process.on('SIGINT', stop).on('SIGTERM', stop);
await tests.exited;
await services.stop();
await rm(temporary, { recursive: true, force: true });
process.exit(tests.exitCode ?? 1);
