/** docker-compose.yml, as Compose parses it. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config/read-config.ts';
import { settings } from '../../src/config/settings.ts';
import { createCompose, root } from '../support/container-engine.ts';

setDefaultTimeout(60_000);

type Service = {
  build?: unknown;
  image: string;
  restart: string;
  read_only?: boolean;
  cap_drop: string[];
  cap_add?: string[] | null;
  security_opt: string[];
  environment?: Record<string, string>;
  networks: Record<string, unknown>;
  ports?: { host_ip?: string; target: number; published: string }[];
  deploy: { resources: { limits: { memory: string; pids: number } } };
};
type Project = { services: Record<string, Service>; networks: Record<string, { internal?: boolean }> };

const text = await Bun.file(join(root, 'docker-compose.yml')).text();
const projectOf = async (environment: Record<string, string> = {}) =>
  JSON.parse(await createCompose(environment)('config', '--format', 'json')) as Project;
const variables = Object.values(settings).map(({ variable }) => variable as string);

test('.env.example lists every variable of the compose file, with its default, and otherwise only settings', async () => {
  const expected = [...text.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name, value]) => [name, value]);
  const example = await Bun.file(join(root, '.env.example')).text();
  const [forCompose = '', forProgram = ''] = example.split('# -- for running');
  const named = (part: string) =>
    [...part.matchAll(/^#(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
  expect(Object.fromEntries(named(forCompose))).toEqual(Object.fromEntries(expected));
  for (const [name] of named(forProgram)) expect(variables).toContain(name as string);
});

test('one service is published, on this machine only; every image is pinned, every service is limited and restarted', async () => {
  const { services, networks } = await projectOf();
  expect(Object.keys(services).sort()).toEqual(['app', 'kafka', 'postgres', 'producer', 'proxy', 'redis']);
  for (const [name, service] of Object.entries(services)) {
    expect([name, service.restart]).toEqual([name, 'unless-stopped']);
    expect(Number(service.deploy.resources.limits.memory)).toBeGreaterThan(0);
    if (!service.build) expect([name, service.image]).toEqual([name, expect.stringMatching(/:\d+\.\d+/)]);
    const published = (service.ports ?? []).map(({ host_ip, target }) => `${host_ip} ${target}`);
    expect([name, published]).toEqual([name, name === 'proxy' ? ['127.0.0.1 8081'] : []]);
    const expected = { proxy: ['front'], app: ['back', 'front'] }[name] ?? ['back'];
    expect([name, Object.keys(service.networks).sort()]).toEqual([name, expected]);
  }
  expect(networks.back?.internal).toBe(true);
});

/** The capabilities that an entry point needs to change from root to another user. */
const toChangeUser = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID'];

test('no service has capabilities, except those that change its user; none can gain more; processes are limited', async () => {
  const { services } = await projectOf();
  for (const [name, { cap_drop, cap_add, security_opt, deploy }] of Object.entries(services)) {
    expect([name, cap_drop, security_opt]).toEqual([name, ['ALL'], ['no-new-privileges:true']]);
    const allowed = name === 'postgres' || name === 'redis' ? toChangeUser : [];
    for (const capability of cap_add ?? [])
      expect([name, allowed]).toEqual([name, expect.arrayContaining([capability])]);
    expect(deploy.resources.limits.pids).toBeWithin(1, 2_000);
  }
});

test('the live list is off, and metrics are on a port that the proxy does not forward to', async () => {
  const config = readConfig((await projectOf()).services.app?.environment ?? {});
  expect(config).toMatchObject({ liveFeed: false, metricsPort: 9464 });
});

test('every variable that it sets is a valid setting of the program', async () => {
  const { services } = await projectOf();
  for (const name of ['app', 'producer']) {
    const { environment = {}, read_only } = services[name] as Service;
    expect(Object.keys(environment).filter((variable) => !variables.includes(variable))).toEqual([]);
    expect(() => readConfig(environment)).not.toThrow();
    expect(read_only).toBe(true);
  }
  const [, port] = /^ENV .*\bPORT=(\d+)/m.exec(await Bun.file(join(root, 'Dockerfile')).text()) ?? [];
  expect(await Bun.file(join(root, 'ops/haproxy.cfg')).text()).toContain(` app:${port}\n`);
});

test('its variables change port, path and password, which may have any characters', async () => {
  const password = "p@ss:w/rd?#%41 &'";
  const { services } = await projectOf({ PORT: '9000', BASE_PATH: '/lookup', POSTGRES_PASSWORD: password });
  expect(services.proxy?.ports?.[0]?.published).toBe('9000');
  expect(services.postgres?.environment?.POSTGRES_PASSWORD).toBe(password);
  const config = readConfig(services.app?.environment ?? {});
  expect(config).toMatchObject({ basePath: '/lookup', publicUrl: 'http://localhost:9000/lookup/' });
  expect(config.databaseUrl).toContain(`:${encodeURIComponent(password)}@`);
});

test('Compose rejects the file if it is invalid', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'compose-'));
  const wrong: [string, string, RegExp][] = [
    ['restart: unless-stopped', 'restrt: unless-stopped', /restrt/],
    ['app: { condition: service_started }', 'ap: { condition: service_started }', /undefined service/],
    ['volumes: ["kafka:', 'volumes: ["kafkas:', /undefined volume/],
    ['networks: [front]', 'networks: [frnt]', /undefined network/],
  ];
  try {
    for (const [right, instead, complaint] of wrong) {
      const file = join(folder, 'docker-compose.yml');
      await Bun.write(file, text.replace(right, instead));
      const { status, errors } = await createCompose({}).attempt(['config', '--quiet'], file);
      expect([status === 0, errors]).toEqual([false, expect.stringMatching(complaint)]);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
