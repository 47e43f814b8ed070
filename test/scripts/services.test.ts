/** Runs the real programs, so nothing is defined here on a machine that lacks them. */
import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import postgres from 'postgres';
import { hasStopped, identify, isRunning, signalTree } from '../../scripts/services/processes.ts';
import { findRunning, stopRunning } from '../../scripts/services/service.ts';
import { missingPackages, startServices } from '../../scripts/services/start.ts';

const within = <T>(ms: number, promise: Promise<T>) =>
  Promise.race([promise, new Promise<'late'>((resolve) => setTimeout(resolve, ms, 'late'))]);

test('a process whose first thread has ended runs until its other threads have ended', async () => {
  const program = `
    new Worker('data:text/javascript,self.onmessage = () => {}').postMessage('');
    const { symbols } = require('bun:ffi').dlopen('libc.so.6', { syscall: { args: ['i64', 'i64'], returns: 'i64' } });
    symbols.syscall(process.arch === 'x64' ? 60 : 93, 0);`;
  const child = Bun.spawn(['bun', '-e', program]);
  const identity = identify(child.pid) as NonNullable<ReturnType<typeof identify>>;
  const state = () => readFileSync(`/proc/${child.pid}/status`, 'latin1').match(/^State:\t(.)/m)?.[1];
  try {
    while (state() !== 'Z') await Bun.sleep(5);
    expect(isRunning(identity)).toBe(true);
  } finally {
    child.kill('SIGKILL');
  }
  await child.exited;
  expect(isRunning(identity)).toBe(false);
});

test('a process that was stopped does nothing any more, in any of its threads', async () => {
  const worker = `
    const beat = new Int32Array(await new Promise((resolve) => { self.onmessage = ({ data }) => resolve(data); }));
    postMessage('ready');
    for (;;) beat[0]++;`;
  const program = `
    const beat = new SharedArrayBuffer(4);
    let ready = 0;
    for (let n = 0; n < 8; n++) {
      const worker = new Worker(URL.createObjectURL(new Blob([${JSON.stringify(worker)}])));
      worker.onmessage = () => { if (++ready === 8) console.log('ready'); };
      worker.postMessage(beat);
    }`;
  const child = Bun.spawn(['bun', '-e', program], { stdout: 'pipe' });
  const identity = identify(child.pid) as NonNullable<ReturnType<typeof identify>>;
  try {
    await child.stdout.getReader().read();
    signalTree(identity, 'SIGSTOP');
    expect(hasStopped(identity)).toBe(true);
  } finally {
    child.kill('SIGKILL');
  }
});

const missing = missingPackages(['kafka', 'postgres', 'redis']);
if (missing.length > 0) console.warn(`The services are not tested; missing packages: ${missing.join(' ')}`);
else
  describe('services', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'services-'));
    const stop = () =>
      Promise.all(['kafka', 'postgres', 'redis'].map((name) => stopRunning(join(dir, name))));
    afterAll(async () => {
      await stop();
      rmSync(dir, { recursive: true, force: true });
    });

    test('PostgreSQL keeps what was committed over kill -9, on the same port', async () => {
      const { postgres: server } = await startServices({ dir, which: ['postgres'] });
      const before = postgres(server.url, { onnotice: () => {}, max: 1 });
      expect((await before`show fsync`)[0]?.fsync).toBe('on');
      await before`create table kept as select 7 as n`;
      await server.kill9();
      expect(server.running()).toBe(false);
      await before.end({ timeout: 1 });
      await server.start();
      const after = postgres(server.url, { max: 1 });
      expect((await after`select n from kept`)[0]?.n).toBe(7);
      await after.end();
    }, 60_000);

    test('a frozen PostgreSQL does not answer, not even on open connections, until it is thawed', async () => {
      const { postgres: server } = await startServices({ dir, which: ['postgres'] });
      const sql = postgres(server.url, { max: 1 });
      await sql`select 1`;
      server.freeze();
      const asked = sql`select 2 as n`.execute();
      expect(await within(300, asked)).toBe('late');
      server.thaw();
      expect((await asked)[0]?.n).toBe(2);
      await sql.end();
    }, 60_000);

    test('Redis keeps its keys over kill -9, and a frozen one does not answer', async () => {
      const { redis: server } = await startServices({ dir, which: ['redis'] });
      const options = { retryStrategy: () => 50, maxRetriesPerRequest: null };
      const client = new Redis(server.url, options);
      client.on('error', () => {});
      await client.set('kept', '7');
      // appendfsync everysec: written to the file at once, so only the machine's end could lose it.
      await server.kill9();
      await server.start();
      expect(await client.get('kept')).toBe('7');
      server.freeze();
      const asked = client.get('kept');
      expect(await within(300, asked)).toBe('late');
      server.thaw();
      expect(await asked).toBe('7');
      client.disconnect();
    }, 60_000);

    test('Kafka keeps its topics and messages over kill -9, on the same port', async () => {
      const { kafka: server } = await startServices({ dir, which: ['kafka'] });
      const kafka = new Kafka({ brokers: [server.brokers], logLevel: logLevel.NOTHING });
      const offsets = async () => {
        const admin = kafka.admin();
        await admin.connect();
        try {
          return (await admin.fetchTopicOffsets('kept'))[0]?.high;
        } finally {
          await admin.disconnect();
        }
      };
      const admin = kafka.admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 1 }] });
      await admin.disconnect();
      const producer = kafka.producer();
      await producer.connect();
      await producer.send({ topic: 'kept', acks: -1, messages: [{ value: 'a' }, { value: 'b' }] });
      await producer.disconnect();
      const pid = server.pid;
      await server.kill9();
      await server.start();
      expect(server.pid).not.toBe(pid);
      expect(await offsets()).toBe('2');
      server.freeze();
      const asked = offsets();
      expect(await within(500, asked)).toBe('late');
      server.thaw();
      expect(await asked).toBe('2');
    }, 90_000);

    test('a second start reuses the running service, and a frozen one can be stopped', async () => {
      const first = await startServices({ dir, which: ['redis', 'postgres'] });
      const second = await startServices({ dir, which: ['redis', 'postgres'] });
      expect(second.redis.pid).toBe(first.redis.pid);
      expect(second.postgres.url).toBe(first.postgres.url);
      second.redis.freeze();
      second.postgres.freeze();
      await Promise.all([second.redis.stop(), second.postgres.stop()]);
      expect([first.redis.running(), first.postgres.running()]).toEqual([false, false]);
    }, 90_000);

    test('a pid that was reused by another program is not signalled', async () => {
      const other = Bun.spawn(['sleep', '60']);
      const place = join(dir, 'reused');
      mkdirSync(place);
      const found = identify(other.pid);
      writeFileSync(
        join(place, 'process.json'),
        JSON.stringify({
          pid: other.pid,
          started: (found?.started ?? 0) - 1,
          stopSignal: 'SIGKILL',
          gives: {},
        }),
      );
      expect(findRunning(place)).toBeUndefined();
      expect(await stopRunning(place)).toBeUndefined();
      expect(identify(other.pid)).toEqual(found as NonNullable<typeof found>);
      other.kill();
      await other.exited;
    });

    test('up writes an env file and can be repeated; down leaves neither process nor data', async () => {
      const instance = `test-${process.pid}`;
      const place = join(import.meta.dir, '../../.services', instance);
      const run = async (...args: string[]) => {
        const script = join(import.meta.dir, '../../scripts/services.ts');
        const child = Bun.spawn(['bun', script, ...args, '--instance', instance], { stderr: 'pipe' });
        const [out, error] = await Promise.all([
          Bun.readableStreamToText(child.stdout),
          Bun.readableStreamToText(child.stderr),
        ]);
        return { status: await child.exited, out, error };
      };
      try {
        expect(await run('up')).toMatchObject({ status: 0, out: expect.stringMatching(/^Up:/), error: '' });
        const env = readFileSync(join(place, 'env'), 'utf8');
        expect(env).toMatch(
          /^KAFKA_BROKERS=\S+\nKAFKA_PID=\d+\nDATABASE_URL=\S+\nPOSTGRES_PID=\d+\nREDIS_URL=\S+\nREDIS_PID=\d+\n$/,
        );
        const again = await Promise.all([run('up'), run('up')]);
        for (const { out, error } of again)
          expect(out + error).toMatch(/^Already up:|another up or down is running/);
        expect(again.some(({ out }) => out.startsWith('Already up:'))).toBe(true);
        expect(readFileSync(join(place, 'env'), 'utf8')).toBe(env);
        expect((await run('status')).status).toBe(0);
        expect((await run('down')).out).toMatch(/stopped.*\n.*stopped.*\n.*stopped/);
      } finally {
        await run('down');
      }
      expect(existsSync(place)).toBe(false);
      expect((await run('status')).status).toBe(1);
    }, 120_000);

    test('a name that would collide with the default instance is rejected with one line', async () => {
      const script = join(import.meta.dir, '../../scripts/services.ts');
      const child = Bun.spawn(['bun', script, 'up', '--instance', '../kafka'], { stderr: 'pipe' });
      expect(await Bun.readableStreamToText(child.stderr)).toBe(
        'services: not a name for an instance: ../kafka\n',
      );
      expect(await child.exited).toBe(1);
    });
  });
