/** The settings that docker-compose.yml and ops/kubernetes give the program. */
import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { YAML } from 'bun';
import { readConfig } from '../../src/config/read-config.ts';
import { type Config, settings } from '../../src/config/settings.ts';

const root = join(import.meta.dir, '../..');

const read = async (file: string) => YAML.parse(await Bun.file(join(root, file)).text());

type Environment = Record<string, string | number>;
const compose = (await read('docker-compose.yml')) as { services: { app: { environment: Environment } } };
const kubernetes = (await read('ops/kubernetes/kustomization.yaml')) as {
  configMapGenerator: { literals: string[] }[];
};

/** As Compose does it when none of its variables is set. */
const withDefaults = (environment: Environment) =>
  Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      `${value}`.replace(/\$\{\w+:-([^}]*)\}/g, '$1'),
    ]),
  );

test('the base for Kubernetes and the compose file start the program with the same settings, live list and console off', () => {
  const literals = kubernetes.configMapGenerator.flatMap((generator) => generator.literals);
  const base = readConfig({
    ...Object.fromEntries(literals.map((literal) => literal.split(/=(.*)/s, 2))),
    DATABASE_PASSWORD: 'orders',
  });
  const composed = readConfig(withDefaults(compose.services.app.environment));
  // The terminal of Compose shows an address of this machine.
  const expected: Config = { ...base, liveFeed: false, consoleTokens: null, publicUrl: composed.publicUrl };
  expect(composed).toEqual(expected);
  expect(base).toMatchObject({ liveFeed: null, consoleTokens: null });
});

/** What the compose file decides itself: its services, their networks and their ports, and how long a stop may take. */
const fixedByCompose = [
  ...[
    'PORT',
    'HOST',
    'METRICS_HOST',
    'SERVE',
    'DATA_DIR',
    'STOP_DELAY',
    'KAFKA_GROUP_ID',
    'DATABASE_READ_URL',
  ],
  ...['KAFKA_SSL', 'KAFKA_SSL_CERT', 'KAFKA_SSL_KEY', 'NODE_EXTRA_CA_CERTS'],
  ...['KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'],
];

test('the compose file passes on every setting but those that it decides itself, with the default of the program', () => {
  const { environment } = compose.services.app;
  const passed = Object.entries(environment).filter(([name, value]) => `${value}`.includes(`{${name}:-`));
  const all = Object.values(settings).map(({ variable }) => variable);
  expect([...Object.keys(environment), ...fixedByCompose].sort()).toEqual(all.sort());
  const withOwnDefault = ['LIVE_FEED', 'TRUSTED_PROXIES'];
  const composed = readConfig(withDefaults(Object.fromEntries(passed)));
  const plain = readConfig({ LIVE_FEED: 'false', TRUSTED_PROXIES: '1' });
  expect(passed.map(([name]) => name)).toEqual(expect.arrayContaining([...withOwnDefault, 'CACHE_LIMIT']));
  expect(composed).toEqual(plain);
});
