/** The image, as its Dockerfile builds it. */
import { beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { docker, finished, lines, root } from './engine.ts';

setDefaultTimeout(120_000);

const image = `order-lookup-test:${process.pid}`;
const noWriting = ['--read-only', '--cap-drop', 'ALL', '--network', 'none'];
const run = (environment: Record<string, string>, ...command: string[]) => {
  const variables = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  return finished(['docker', 'run', '--rm', '--init', ...noWriting, ...variables, image, ...command]);
};

beforeAll(() => docker('build', '--tag', image, root), 300_000);

test('the base is pinned by version, to the Bun that package.json asks for', async () => {
  const bases = (await Bun.file(join(root, 'Dockerfile')).text()).matchAll(/^FROM (\S+)/gm);
  const version = packageJson.packageManager.replace('@', ':');
  expect([...new Set([...bases].map(([, base]) => base))]).toEqual([`oven/${version}-slim`]);
});

test('it says what it is, as package.json does; its user is a number and not root; Bun gets the signals', async () => {
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

test('nothing in it can be written, and nothing is in it that is for development or the embedded run', async () => {
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

test('what is not configured is named, without a word of what only a checkout has', async () => {
  const databaseUrl = { DATABASE_URL: 'postgres://orders@postgres/orders' };
  const cases = [
    [
      {},
      ['bun', 'src/main.ts'],
      1,
      'DATABASE_URL is not set, and the embedded PostgreSQL is not installed: set DATABASE_URL.',
    ],
    [
      databaseUrl,
      ['bun', 'src/main.ts'],
      1,
      'KAFKA_BROKERS is not set, and the embedded Kafka broker is not installed: set KAFKA_BROKERS.',
    ],
    [{}, ['bun', 'scripts/migrate.ts'], 1, 'Not migrated: DATABASE_URL is not set'],
    [
      { KAFKA_SSL: 'true' },
      ['bun', 'src/main.ts'],
      2,
      'KAFKA_BROKERS is not set; KAFKA_SSL and KAFKA_SASL_MECHANISM need it',
    ],
    [
      {},
      ['timeout', '4', 'bun', 'producer.ts'],
      124,
      'No Kafka at 127.0.0.1:9092 yet: start Order Lookup, or set KAFKA_BROKERS. Still trying.',
    ],
    [
      { KAFKA_BROKERS: '127.0.0.1:1' },
      ['timeout', '4', 'bun', 'producer.ts'],
      124,
      'No Kafka at 127.0.0.1:1 yet. Still trying.',
    ],
  ] as const;
  for (const [environment, command, status, message] of cases) {
    const ended = await run(environment, ...command);
    expect([
      ended.status,
      lines(`${ended.output}\n${ended.errors}`).filter((line) => !line.startsWith('{'))[0],
    ]).toEqual([status, message]);
    expect(`${ended.output}\n${ended.errors}`).not.toMatch(/Cannot find|bun start|\.data|bun run|EROFS/);
  }
});

test('its other commands are in it, with all that they import', async () => {
  for (const command of [['scripts/dead-letters.ts'], ['run', 'dead-letters'], ['producer.ts']]) {
    const { status, output } = await run({}, 'bun', ...command, '--help');
    expect([command, status, output]).toEqual([command, 0, expect.stringContaining('Usage: ')]);
  }
});
