/** The image as its Dockerfile says, run without an engine: see container.ts for how far that goes. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { brokers, testDatabase, topicName, until } from '../services.ts';
import { testWith } from '../test-with.ts';
import { build } from './build.ts';
import { addBase, canContain, startContainer } from './container.ts';
import { readDockerfile } from './dockerfile.ts';

setDefaultTimeout(90_000);

const root = join(import.meta.dir, '../..');
const stages = readDockerfile(await Bun.file(join(root, 'Dockerfile')).text());

const buildImage = async () => {
  const into = await mkdtemp(join(tmpdir(), 'image-'));
  const image = await build(stages, { context: root, into });
  await addBase(image);
  return { ...image, [Symbol.asyncDispose]: () => rm(into, { recursive: true, force: true }) };
};

const freePort = () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

test('the base is pinned by version, to the Bun that package.json asks for; the user is a number and not root', () => {
  const version = packageJson.packageManager.replace('@', ':');
  for (const { base } of stages) expect(base).toBe(`oven/${version}-slim`);
  expect(stages.at(-1)?.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
});

test('the labels say what package.json says', () => {
  const { description, license, version } = packageJson;
  expect(stages.at(-1)?.labels).toEqual({
    'org.opencontainers.image.title': 'Order Lookup',
    'org.opencontainers.image.description': description.replace(/\.$/, ''),
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': license,
  });
});

test('an instruction that the tests do not know is refused', () => {
  const refused = [
    'RUN echo', // before FROM
    'FROM scratch\nARG VERSION=1',
    'FROM scratch\nADD https://example.com/x /',
    'FROM scratch\nCOPY --chown=1:1 src src',
    'FROM --platform=linux/amd64 scratch',
    'FROM scratch\nRUN --mount=type=cache,target=/x bun install',
    'FROM scratch\nCMD bun src/main.ts',
    'FROM scratch\nENV A=$B',
    'FROM scratch\nHEALTHCHECK NONE',
  ];
  for (const text of refused) expect(() => readDockerfile(text)).toThrow(/^not understood: /);
});

testWith(canContain, 'the right to make namespaces (root)')(
  'the image runs as it is meant to: nothing to write to, not as root, found healthy, an order found, ended by SIGTERM',
  async () => {
    await using image = await buildImage();
    const { devDependencies, optionalDependencies } = packageJson;
    for (const name of Object.keys({ ...devDependencies, ...optionalDependencies })) {
      // A package of the page's brings it.
      if (name === '@kitajs/ts-html-plugin') continue;
      expect([name, existsSync(join(image.root, 'app/node_modules', name))]).toEqual([name, false]);
    }
    const files = ['LICENSE', 'migrations', 'node_modules', 'package.json', 'producer.ts', 'scripts', 'src'];
    expect((await readdir(join(image.root, 'app'))).sort()).toEqual([...files, 'tsconfig.json', 'views']);

    const attempt = `
      const { writeFileSync } = require('node:fs');
      for (const path of ['/app/x', '/app/src/x', '/dev/x', '/x'])
        try { writeFileSync(path, ''); console.log('written: ' + path) } catch ({ code }) { console.log(code) }
      console.log(process.pid, process.getuid(), process.getgid(), process.getgroups().join())`;
    const inside = await startContainer(image, ['bun', '-e', attempt], {}).result();
    expect(inside.output.split('\n')).toEqual(['EROFS', 'EROFS', 'EROFS', 'EROFS', '1 1000 1000 ', '']);

    await using database = await testDatabase({ migrated: false });
    const topic = topicName();
    const env = {
      PORT: String(freePort()),
      KAFKA_BROKERS: (await brokers()).join(','),
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: `${topic}_dlq`,
      KAFKA_GROUP_ID: topic,
      KAFKA_PARTITIONS: '2',
      DATABASE_URL: database.url,
      STOP_DELAY: '0',
    };
    const migrated = await startContainer(image, ['bun', 'scripts/migrate.ts'], env).result();
    expect([migrated.status, migrated.errors]).toEqual([0, '']);

    // Its other commands are in it, with all that they import.
    for (const script of ['scripts/dead-letters.ts', 'producer.ts']) {
      const told = await startContainer(image, ['bun', script, '--help'], env).result();
      expect([script, told.status, told.errors]).toEqual([script, 0, '']);
    }

    const isHealthy = async () => (await startContainer(image, image.healthcheck, env).result()).status === 0;
    expect(await isHealthy()).toBe(false);
    await using service = startContainer(image, image.command, env);
    await until(async () => !service.running() || (await isHealthy()), 30_000);
    expect(service.running()).toBe(true);

    const args = ['producer.ts', '--count', '3', '--seed', '7', '--rate', '0'];
    const produced = await startContainer(image, ['bun', ...args], env).result();
    expect([produced.status, produced.errors]).toEqual([0, '']);
    const [order] = Array.from({ length: 3 }, createOrderMaker({ seed: 7 }));
    const url = `http://127.0.0.1:${env.PORT}/order/${order?.order_uid}`;
    await until(async () => (await fetch(url)).status === 200);
    for (const path of ['/', '/swagger', '/swagger/json', '/metrics', '/readyz'])
      expect([path, (await fetch(new URL(path, url))).status]).toEqual([path, 200]);

    const { status, took, output, errors } = await service.stop();
    expect([status, errors]).toEqual([0, '']);
    expect(took).toBeLessThan(8_000);
    expect(output.trim().split('\n').at(-1)).toContain('"stopped"');
    expect(await isHealthy()).toBe(false);
  },
);
