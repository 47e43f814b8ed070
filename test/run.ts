/**
 * `bun run test`: the tests that need nothing but this repository, several files at once. All files share the services that
 * this process starts; KAFKA_BROKERS and DATABASE_URL name others. Arguments go to `bun test`, paths begin with `./`.
 */
import { createEmbeddedServices } from './support/embedded-services.ts';

/** More wait for one another than gain: most tests of the consumer and of the program use the processor throughout. */
const workers = 3;
/** They need services, engines or tools of their own, and have commands of their own. */
const others = 'test/{contract,deploy,faults,kubernetes}/**';

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
    ...[process.execPath, 'test', '--timeout', '30000', '--path-ignore-patterns', others],
    // The files of a worker share their modules, as they do without --parallel; to load them again for each takes longer.
    ...[`--parallel=${workers}`, '--no-isolate', ...options, ...(hasPaths ? [] : ['./test', './packages'])],
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
process.exit(tests.exitCode ?? 1);
