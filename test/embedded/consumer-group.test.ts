import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config/read-config.ts';
import { consumerGroupOf, ensureConsumerGroup } from '../../src/embedded/consumer-group.ts';
import { openWorld, ordersOf } from '../support/isolated-services.ts';
import { silent, until } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';

setDefaultTimeout(120_000);

const folders: string[] = [];
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'consumer-group-'));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const kafka = { KAFKA_BROKERS: 'kafka:9092' };
const postgres = { DATABASE_URL: 'postgres://u@host/db' };
const configOf = (environment: Record<string, string>) =>
  readConfig({ DATA_DIR: newFolder(), ...environment });

test.each([
  ['Kafka and PostgreSQL are configured', { ...kafka, ...postgres }, 'order-consumers'],
  ['both are embedded', {}, 'order-consumers'],
  ['KAFKA_GROUP_ID is set', { ...kafka, KAFKA_GROUP_ID: 'order-consumers' }, 'order-consumers'],
])('the data directory has no group of its own when %s', (_, environment, group) => {
  expect(ensureConsumerGroup(configOf(environment), silent)).toBe(group);
});

test.each([
  ['Kafka', kafka],
  ['PostgreSQL', postgres],
])('when only %s is configured, each data directory keeps a group of its own', (_, environment) => {
  const [one, other] = [configOf(environment), configOf(environment)];
  const group = ensureConsumerGroup(one, silent);
  expect(group).toMatch(/^order-consumers-[0-9a-f]{8}$/);
  expect([ensureConsumerGroup(one, silent), consumerGroupOf(one)]).toEqual([group, group]);
  expect(ensureConsumerGroup(other, silent)).not.toBe(group);
});

test('a command creates no group', () => {
  const config = configOf(kafka);
  expect(consumerGroupOf(config)).toBe('order-consumers');
  expect(ensureConsumerGroup(config, silent)).not.toBe('order-consumers');
});

test('a damaged file and a link are one line', () => {
  const config = configOf(kafka);
  const file = join(config.dataDir, 'consumer-group');
  writeFileSync(file, 'two words\n');
  expect(() => ensureConsumerGroup(config, silent)).toThrow(
    `${file} does not hold the name of a consumer group. Remove it, or set KAFKA_GROUP_ID.`,
  );
  rmSync(file);
  symlinkSync('/etc/passwd', file);
  expect(() => ensureConsumerGroup(config, silent)).toThrow(`${file} is a link: remove it`);
});

test('two runs on one Kafka, each with an embedded PostgreSQL, both answer for every order', async () => {
  await using world = await openWorld();
  const { DATABASE_URL: _, KAFKA_GROUP_ID: __, ...environment } = world.environment;
  const dataDirs = [newFolder(), newFolder()];
  await using first = startProgram({ ...environment, DATA_DIR: dataDirs[0] as string });
  await using second = startProgram({ ...environment, DATA_DIR: dataDirs[1] as string });
  const programs = [first, second];
  await Promise.all(programs.map((program) => program.said('joined the group', 90_000)));
  const orders = ordersOf(20);
  await world.send(orders);
  for (const [index, program] of programs.entries()) {
    const url = await program.url();
    for (const { order_uid } of orders)
      await until(async () => (await fetch(`${url}/order/${order_uid}`)).status === 200, 30_000);
    const group = readFileSync(join(dataDirs[index] as string, 'consumer-group'), 'utf8').trim();
    expect(await program.said('has a consumer group of its own')).toMatchObject({ group });
  }
  await Promise.all(programs.map((program) => program.stop('SIGINT')));
});
