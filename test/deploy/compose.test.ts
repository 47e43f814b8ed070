/** docker-compose.yml, read by Compose's own loader, which is written in Go. */
import { afterAll, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { $ } from 'bun';
import { readConfig, settings } from '../../src/config.ts';
import { testWith } from '../test-with.ts';
import { readDockerfile } from './dockerfile.ts';

const root = join(import.meta.dir, '../..');
const composeFile = await Bun.file(join(root, 'docker-compose.yml')).text();
const dir = await mkdtemp(join(tmpdir(), 'compose-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

type Service = {
  build?: unknown;
  image: string;
  restart: string;
  read_only?: boolean;
  environment?: Record<string, string>;
  networks: Record<string, unknown>;
  ports?: { host_ip?: string; target: number; published: string }[];
  volumes?: { type: string; source: string }[];
  healthcheck?: { test: string[]; disable?: boolean };
  deploy: { resources: { limits: { memory: string } } };
};

type Project = {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean }>;
  volumes: Record<string, unknown>;
};

/** The project of a compose file, or what Compose has against it. */
const load = async (text: string, env: Record<string, string> = {}) => {
  // Beside the files that it names.
  const file = join(dir, 'docker-compose.yml');
  await Bun.write(file, text);
  const { exitCode, stdout, stderr } = await $`${join(dir, 'check')} ${file}`.env(env).nothrow().quiet();
  return exitCode === 0 ? (JSON.parse(String(stdout)) as Project) : String(stderr).trim();
};

const buildCheck = async () => {
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off' };
  // Not optimized: it is compiled once and runs ten times.
  await $`go build -gcflags=${'all=-N -l'} -o ${join(dir, 'check')} .`
    .cwd(join(import.meta.dir, 'compose-check'))
    .env(env)
    .quiet();
};

/** The variables that the file asks for, with what they are when they are unset. */
const asked = Object.fromEntries(
  [...composeFile.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name, preset]) => [name, preset]),
);

test('.env.example names every variable that the compose file asks for, with the value it has there, and else only settings', async () => {
  const text = await Bun.file(join(root, '.env.example')).text();
  const [forCompose = '', forProgram = ''] = text.split('# -- for running');
  const named = (part: string) =>
    [...part.matchAll(/^#(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
  expect(Object.fromEntries(named(forCompose))).toEqual(asked);
  const variables = Object.values(settings).map(({ variable }) => variable as string);
  for (const [name] of named(forProgram)) expect(variables).toContain(name as string);
});

testWith(Bun.which('go') !== null, 'Go')(
  'Compose takes the file, and the program what the file tells it; it refuses a file that is wrong',
  async () => {
    await buildCheck();
    const project = (await load(composeFile)) as Project;
    expect(Object.keys(project.services ?? project)).toEqual([
      'app',
      'kafka',
      'postgres',
      'producer',
      'proxy',
      'redis',
    ]);

    for (const [name, service] of Object.entries(project.services)) {
      const isHealthChecked = service.build ? 'by the image' : (service.healthcheck?.test.length ?? 0) > 1;
      expect([name, isHealthChecked]).toEqual([name, service.build ? 'by the image' : true]);
      expect([name, service.restart]).toEqual([name, 'unless-stopped']);
      expect(Number(service.deploy.resources.limits.memory)).toBeGreaterThan(0);
      if (!service.build) expect([name, service.image]).toEqual([name, expect.stringMatching(/:\d+\.\d+/)]);
      // One is reached from outside, and from this machine only; what keeps data is kept apart from it.
      const published = (service.ports ?? []).map(({ host_ip, target }) => `${host_ip} ${target}`);
      expect([name, published]).toEqual([name, name === 'proxy' ? ['127.0.0.1 8081'] : []]);
      const networks = { proxy: ['front'], app: ['back', 'front'] }[name] ?? ['back'];
      expect([name, Object.keys(service.networks).sort()]).toEqual([name, networks]);
      for (const { type, source } of service.volumes ?? [])
        if (type === 'volume') expect(Object.keys(project.volumes)).toContain(source);
    }
    expect(project.networks.back?.internal).toBe(true);

    const { app, producer } = project.services as { app: Service; producer: Service };
    for (const { environment = {}, read_only } of [app, producer]) {
      const variables = Object.values(settings).map(({ variable }) => variable as string);
      expect(Object.keys(environment).filter((name) => !variables.includes(name))).toEqual([]);
      expect(() => readConfig(environment)).not.toThrow();
      expect(read_only).toBe(true);
    }
    // The image's port is the one that the proxy's configuration has.
    const [port] = readDockerfile(await Bun.file(join(root, 'Dockerfile')).text()).at(-1)?.ports ?? [];
    expect(await Bun.file(join(root, 'ops/haproxy.cfg')).text()).toContain(` app:${port}\n`);

    const changed = (await load(composeFile, { PORT: '9000', POSTGRES_PASSWORD: 'p' })) as Project;
    expect(changed.services.proxy?.ports?.[0]?.published).toBe('9000');
    expect(changed.services.app?.environment?.DATABASE_URL).toContain(':p@');
    expect(changed.services.postgres?.environment?.POSTGRES_PASSWORD).toBe('p');

    const wrong: [string, string, RegExp][] = [
      ['restart: unless-stopped', 'restrt: unless-stopped', /restrt/],
      ['app: { condition: service_healthy }', 'ap: { condition: service_healthy }', /undefined service/],
      ['volumes: ["kafka:', 'volumes: ["kafkas:', /undefined volume/],
      ['networks: [front]', 'networks: [frnt]', /undefined network/],
      ['max-size: 10m', 'max-size: [10m', /yaml/],
      ['8081}:8081', '8081:8081', /invalid interpolation/],
    ];
    for (const [right, instead, complaint] of wrong)
      expect(await load(composeFile.replace(right, instead))).toMatch(complaint);
  },
  240_000,
);
