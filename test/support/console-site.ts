/** The console on a port of its own, with dead letters, orders, and a made-up quarter of an hour in the plots. */
import { columns, createRing, type Sample } from '../../src/history/series.ts';
import { openLetterConsole } from './letter-console.ts';

/** A number from 0 to 1 that is the same for the same time. */
const noise = (time: number) => {
  const value = Math.sin(time / 1_000) * 10_000;
  return value - Math.floor(value);
};

/** Lookups from memory in microseconds and from PostgreSQL in milliseconds, in a stream of about 120 orders a second. */
export const sampleAt = (time: number) => {
  const rough = noise(time);
  const wave = Math.sin(time / 90_000);
  const burst = Math.max(0, Math.sin(time / 150_000) - 0.9) * 10;
  const fromMemory = Math.round(900 + 120 * wave + 60 * rough);
  const fromPostgres = Math.round(14 + 6 * rough + 30 * burst);
  const values: Partial<Record<(typeof columns)[number], number>> = {
    stored: Math.round(120 + 30 * wave + 12 * rough),
    deadLetters: rough > 0.96 ? Math.ceil(3 * rough) : 0,
    lag: Math.round(400 * burst + 5 * rough),
    fromMemory,
    fromPostgres,
    hits: fromMemory / (fromMemory + fromPostgres),
    memoryMedian: (3.6 + 0.5 * rough) * 1e-6,
    memoryP99: (9 + 5 * noise(time + 1)) * 1e-6,
    postgresMedian: (0.9 + 0.3 * rough + burst) * 1e-3,
    postgresP99: (4 + 3 * noise(time + 2) + 8 * burst) * 1e-3,
    memory: 2.1e8 + 4e6 * wave + 1e6 * rough,
  };
  return { time, ...Object.fromEntries(columns.map((name) => [name, values[name] ?? null])) } as Sample;
};

export const openConsoleSite = async (parts: Parameters<typeof openLetterConsole>[1] = {}) => {
  const ring = createRing(900);
  const now = Date.now();
  for (let n = 0; n < 900; n++) ring.push(sampleAt(now - (900 - n) * 1_000));
  const listeners = new Set<(sample: Sample) => void>();
  const history = {
    series: () => ring.read(),
    subscribe(listener: (sample: Sample) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const desk = await openLetterConsole(undefined, { history, ...parts });
  desk.pipeline.join();
  /** Without scripts, pages are as without JavaScript, and a driver can still look at them. */
  const site = { hasScripts: true };
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch: (request, own) =>
      !site.hasScripts && new URL(request.url).pathname.endsWith('.js')
        ? new Response(null, { status: 404 })
        : desk.app.fetch(request, () => own.requestIP(request)?.address),
  });
  return Object.assign(site, {
    origin: `http://127.0.0.1:${server.port}`,
    desk,
    /** Of the stream of the overview. */
    listeners,
    /** Sends messages, and waits until they are stored or dead letters. */
    async send(...messages: { key: string; value: string | Buffer; headers?: Record<string, string> }[]) {
      await desk.pipeline.send(messages);
      await desk.pipeline.drained();
    },
    async [Symbol.asyncDispose]() {
      await server.stop(true);
      await desk[Symbol.asyncDispose]();
    },
  });
};

export type ConsoleSite = Awaited<ReturnType<typeof openConsoleSite>>;
