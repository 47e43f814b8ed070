/** The image that the Dockerfile builds. */
import { beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { docker, finished, lines, root } from '../support/container-engine.ts';
import { until } from '../support/until.ts';

setDefaultTimeout(120_000);

const image = `order-lookup-test:${process.pid}`;
const noWriting = ['--read-only', '--cap-drop', 'ALL', '--network', 'none'];
const run = (environment: Readonly<Record<string, string>>, ...command: string[]) => {
  const variables = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  return finished(['docker', 'run', '--rm', '--init', ...noWriting, ...variables, image, ...command]);
};

beforeAll(() => docker('build', '--tag', image, root), 300_000);

test('the base image is pinned to the version of Bun in package.json', async () => {
  const bases = (await Bun.file(join(root, 'Dockerfile')).text()).matchAll(/^FROM (\S+)/gm);
  const version = packageJson.packageManager.replace('@', ':');
  expect([...new Set([...bases].map(([, base]) => base))]).toEqual([`oven/${version}-slim`]);
});

test('its labels match package.json; its user is a number and not root; Bun gets the signals', async () => {
  const [{ Config }] = JSON.parse(await docker('image', 'inspect', image));
  const { description, license, version } = packageJson;
  expect(Config.Labels).toEqual({
    'org.opencontainers.image.title': 'Order Lookup',
    'org.opencontainers.image.description': description.replace(/\.$/, ''),
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': license,
  });
  expect(Config.User).toMatch(/^[1-9]\d*:[1-9]\d*$/);
  expect([Config.Cmd, Config.Entrypoint ?? null]).toEqual([['bun', 'src/main.ts'], null]);
});

test('it is read-only, and contains nothing for development or the embedded services', async () => {
  const attempt = `
    const { existsSync, writeFileSync } = require('node:fs');
    for (const path of ['/app/x', '/app/src/x', '/tmp/x', '/x'])
      try { writeFileSync(path, ''); console.log('written: ' + path) } catch ({ code }) { console.log(code) }
    console.log(process.getuid(), process.getgid());`;
  expect(lines((await run({}, 'bun', '-e', attempt)).output)).toEqual([
    ...Array(4).fill('EROFS'),
    '1000 1000',
  ]);

  const packages = lines((await run({}, 'ls', 'node_modules')).output);
  const { dependencies, devDependencies, optionalDependencies } = packageJson;
  const others = Object.keys({ ...devDependencies, ...optionalDependencies }).filter(
    (name) => !(name in dependencies),
  );
  // Scopes have packages of both kinds; and a package of the page's brings the last one.
  expect(others.filter((name) => packages.includes(name))).toEqual([]);
  const files = ['LICENSE', 'migrations', 'node_modules', 'package.json', 'producer.ts', 'scripts', 'src'];
  expect(lines((await run({}, 'ls')).output)).toEqual([...files, 'tsconfig.json', 'views']);
  expect(lines((await run({}, 'ls', 'migrations')).output)).toEqual(
    (await readdir(join(root, 'migrations'))).sort(),
  );
});

/** What only a checkout has, and what is missing here. */
const ofCheckout = /Cannot find|bun start|\.data|bun run|EROFS/;

test('a missing setting is named, and no message mentions what only a checkout has', async () => {
  const databaseUrl = { DATABASE_URL: 'postgres://orders@postgres/orders' };
  const notInstalled = (variable: string, service: string) =>
    `${variable} is not set, and the embedded ${service} is not installed: set ${variable}.`;
  const cases = [
    [{}, 'src/main.ts', 1, notInstalled('DATABASE_URL', 'PostgreSQL')],
    [databaseUrl, 'src/main.ts', 1, notInstalled('KAFKA_BROKERS', 'Kafka broker')],
    [
      {},
      'scripts/migrate.ts',
      2,
      'Not migrated: DATABASE_URL is not set, and no embedded PostgreSQL has run in DATA_DIR',
    ],
    [
      { KAFKA_SSL: 'true' },
      'src/main.ts',
      2,
      'KAFKA_BROKERS is not set; KAFKA_SSL and KAFKA_SASL_MECHANISM need it',
    ],
  ] as const;
  for (const [environment, script, status, message] of cases) {
    const ended = await run(environment, 'bun', script);
    const said = `${ended.output}\n${ended.errors}`;
    expect([ended.status, lines(said).filter((line) => !line.startsWith('{'))]).toEqual([status, [message]]);
    expect(said).not.toMatch(ofCheckout);
  }
});

test('a producer that waits for Kafka reports it, and no message mentions what only a checkout has', async () => {
  const cases = [
    [[], 'No Kafka at 127.0.0.1:9092 yet: start Order Lookup, or set KAFKA_BROKERS. Still trying.'],
    [['--env', 'KAFKA_BROKERS=127.0.0.1:1'], 'No Kafka at 127.0.0.1:1 yet. Still trying.'],
  ] as const;
  for (const [variables, message] of cases) {
    const id = await docker('run', '--detach', ...noWriting, ...variables, image, 'bun', 'producer.ts');
    try {
      expect(await until(() => docker('logs', id), 60_000)).toBe(message);
    } finally {
      await docker('rm', '--force', id);
    }
  }
});

test('it contains the other commands, with all that they import', async () => {
  for (const command of [
    ['scripts/dead-letters.ts'],
    ['run', 'dead-letters'],
    ['scripts/replay.ts'],
    ['scripts/orders.ts'],
    ['producer.ts'],
  ]) {
    const { status, output } = await run({}, 'bun', ...command, '--help');
    expect([command, status, output]).toEqual([command, 0, expect.stringContaining('Usage: ')]);
  }
});
