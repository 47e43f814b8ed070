import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWorld } from '../support/isolated-services.ts';
import { startProgram } from '../support/program.ts';

setDefaultTimeout(240_000);

describe('a start that cannot succeed ends with one line that says why', () => {
  test.each([
    [{ PORT: '99999' }, 'PORT'],
    [{ CACHE_LIMIT: '0' }, 'CACHE_LIMIT'],
    [{ KAFKA_BROKERS: 'kafka' }, 'KAFKA_BROKERS'],
    [{ DATABASE_URL: 'mysql://user:s3cret@host/db' }, 'DATABASE_URL'],
    [{ REDIS_URL: 'http://user:s3cret@host' }, 'REDIS_URL'],
    [{ REDIS_URL: 'redis://user:s3cret@one:1,two:2' }, 'REDIS_URL'],
    [{ REDIS_URL: 'redis-cluster://user:s3cret@one:1,,two:2' }, 'REDIS_URL'],
    [{ REDIS_URL: 'redis://user:s3cret%zz@one:1' }, 'REDIS_URL'],
    [{ SERVE: 'http,everything' }, 'SERVE'],
  ])('%j', async (environment, variable) => {
    await using program = startProgram(environment as unknown as Record<string, string>);
    const { status, errors, output } = await program.ended();
    expect(status).toBe(2);
    expect(output).toBe('');
    expect(errors).toStartWith(`${variable} holds `);
    expect(errors.trimEnd().split('\n')).toHaveLength(1);
    expect(errors).not.toContain('s3cret');
  });

  test.each([
    [{ HOST: 'nohost.invalid' }, /^HOST holds "nohost\.invalid", neither an address nor a host name /],
    [{ HOST: '999.1.1.1' }, /^HOST holds "999\.1\.1\.1", neither an address nor a host name /],
    [
      { HOST: '192.0.2.1' },
      /^HOST holds "192\.0\.2\.1", (an address that this machine does not have|neither)/,
    ],
    [{ METRICS_PORT: '0', METRICS_HOST: '999.1.1.1' }, /^METRICS_HOST holds "999\.1\.1\.1", /],
    [
      { HOST: '999.1.1.1', PORT: '18399', DATABASE_URL: 'postgres://a:b@127.0.0.1:1/x' },
      /^HOST holds "999\.1\.1\.1", neither an address nor a host name /,
    ],
  ])('%j', async (environment, line) => {
    const dataDir = join(tmpdir(), `no-data-${crypto.randomUUID()}`);
    const given = { KAFKA_BROKERS: '127.0.0.1:1', DATA_DIR: dataDir, ...environment };
    await using program = startProgram(given as unknown as Record<string, string>);
    const { status, errors } = await program.ended();
    expect(status).toBe(1);
    expect(errors).toMatch(line);
    expect(errors.trimEnd().split('\n')).toHaveLength(1);
    expect(existsSync(dataDir)).toBe(false);
  });

  test('a port that is taken, before PostgreSQL has been created', async () => {
    const dataDir = join(tmpdir(), `no-data-${crypto.randomUUID()}`);
    using other = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() });
    await using program = startProgram({
      KAFKA_BROKERS: '127.0.0.1:1',
      DATA_DIR: dataDir,
      PORT: String(other.port),
    });
    expect((await program.ended()).errors).toStartWith(`Port ${other.port} on 127.0.0.1 is taken.`);
    expect(existsSync(dataDir)).toBe(false);
  });

  test('a data directory that others can write to, or that is a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'order-lookup-open-'));
    const start = async (dataDir: string) => {
      await using program = startProgram({ KAFKA_BROKERS: '127.0.0.1:1', DATA_DIR: dataDir });
      return (await program.ended()).errors;
    };
    try {
      const open = join(folder, 'open');
      await mkdir(open);
      await chmod(open, 0o777);
      expect(await start(open)).toBe(
        `The data directory ${open} cannot be used: other users can write to it (\`chmod 700 ${open}\` ends that). Name another in DATA_DIR.\n`,
      );
      const file = join(folder, 'file');
      await Bun.write(file, '');
      expect(await start(file)).toBe(
        `The data directory ${file} cannot be used: it is not a folder. Name another in DATA_DIR.\n`,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('another run in the data directory, with the same port', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'order-lookup-used-'));
    const environment = { KAFKA_BROKERS: '127.0.0.1:1', DATA_DIR: dataDir };
    try {
      await using first = startProgram(environment);
      const { port } = new URL(await first.url());
      await using second = startProgram({ ...environment, PORT: port });
      expect((await second.ended()).errors).toBe(
        `Another run of this program uses the data directory ${dataDir}. Stop it, or start a second one beside it with a PORT and a DATA_DIR of its own.\n`,
      );
      await first.stop('SIGINT');
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test('a port that is taken', async () => {
    await using world = await openWorld();
    using other = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() });
    await using program = startProgram({ ...world.environment, PORT: String(other.port) });
    const { status, errors } = await program.ended();
    expect(status).toBe(1);
    expect(errors).toMatch(new RegExp(`^Port ${other.port} on 127.0.0.1 is taken\\..*PORT.*\n$`));
  });
});
