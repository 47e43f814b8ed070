import { expect, setDefaultTimeout, test } from 'bun:test';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';
import { type Connection, connect } from '../support/raw-http.ts';
import { startProxy } from '../support/tcp-proxy.ts';

// Six processes start.
setDefaultTimeout(240_000);

const hostname = '127.0.0.1';
type Address = { hostname: string; port: number };

/** Processes that answer lookups of one database, and which of them say that they are ready. */
const startReplicas = async (count: number, databaseUrl: string) => {
  const environment = {
    DATABASE_URL: databaseUrl,
    KAFKA_BROKERS: '127.0.0.1:1',
    SERVE: 'http',
    RATE_LIMIT: '0',
  };
  const start = async () => {
    const program = startProgram({ ...environment, STOP_DELAY: '2', LIVE_FEED: 'true' });
    const replica = { program, address: { hostname, port: 0 }, isReady: false };
    running.push(replica);
    replica.address.port = Number(new URL(await program.url()).port);
    await until(() => replica.isReady);
    return replica;
  };
  const running: { program: ReturnType<typeof startProgram>; address: Address; isReady: boolean }[] = [];
  // As a balancer does, on a connection for each question.
  const look = async () => {
    for (const replica of running) {
      const { port } = replica.address;
      const asked = port ? fetch(`http://${hostname}:${port}/readyz`, { keepalive: false }) : undefined;
      replica.isReady = (await asked?.catch(() => undefined))?.status === 200;
    }
  };
  const looking = setInterval(look, 100);
  let turn = 0;
  await Promise.all(Array.from({ length: count }, start));
  return {
    running,
    start,
    /** One that is ready, each in its turn. */
    next(): Address {
      const ready = running.filter(({ isReady }) => isReady);
      const replica = ready[turn++ % ready.length];
      if (!replica) throw new Error('no replica is ready');
      return replica.address;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(looking);
      for (const { program } of running) await program[Symbol.asyncDispose]();
    },
  };
};

/** Begins the failure of a request that a replica has answered with "unavailable". */
const overdue = 'unavailable: ';

/** Between two requests of a client: without it the clients take the processors from the processes that start. */
const pauseMs = 5;

/** Asks one request after the other on a connection that it keeps as long as it may, and tries none of them again. */
const startClient = (choose: () => Address, requests: { path: string; status: number; body?: string }[]) => {
  const failures: string[] = [];
  let answered = 0;
  let isOver = false;
  let connection: Connection | undefined;
  const ask = async ({ path, status, body }: (typeof requests)[number]) => {
    connection ??= await connect(choose());
    const { port, text, closed } = connection;
    connection.forget();
    connection.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const answer = () => toAnswer(text());
    await Promise.race([until(answer), closed]);
    const given = answer();
    if (given?.status !== status || (body !== undefined && given.body !== body))
      failures.push(
        `${given?.status === 503 ? overdue : ''}${path} on ${port}: ${given?.status ?? 'no answer'}, ${text().slice(0, 300)}`,
      );
    if (!given || given.closes) connection = undefined;
    answered++;
  };
  const asking = (async () => {
    for (let next = 0; !isOver; next++, await Bun.sleep(pauseMs))
      await ask(requests[next % requests.length] as (typeof requests)[number]).catch((error) => {
        connection = undefined;
        failures.push(String(error));
      });
    connection?.terminate();
  })();
  return {
    failures,
    answered: () => answered,
    async stop() {
      isOver = true;
      await asking;
    },
  };
};

/** The answer, once all of it is there. */
const toAnswer = (text: string) => {
  const end = text.indexOf('\r\n\r\n');
  const length = Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? Number.NaN);
  const body = text.slice(end + 4);
  if (end === -1 || body.length < length) return undefined;
  const closes = /^connection: close/im.test(text.slice(0, end));
  return { status: Number(text.slice(9, 12)), body: Buffer.from(body, 'latin1').toString(), closes };
};

test('a rolling restart under load loses no request, and closes live streams in order', async () => {
  await using database = await testDatabase();
  const orders = Array.from({ length: 60 }, createOrderMaker({ seed: 5 }));
  const store = createStore(database.sql);
  await store.save(orders);
  const documents = await Promise.all(orders.map(({ order_uid }) => store.find(order_uid)));
  const requests = orders.flatMap(({ order_uid }, index) => [
    { path: `/order/${order_uid}`, status: 200, body: documents[index] ?? '' },
    { path: `/order/nobody-${order_uid}`, status: 404 },
    { path: '/', status: 200 },
  ]);

  await using replicas = await startReplicas(3, database.url);
  await using balancer = startProxy(() => replicas.next());
  const balanced = { hostname, port: balancer.port };
  const clients = [replicas.next, replicas.next, () => balanced, () => balanced].map((choose) =>
    startClient(choose, requests),
  );
  const stream = await connect(replicas.running[0]?.address as Address);
  stream.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');

  const programs: ReturnType<typeof startProgram>[] = [];
  for (const { program, address } of replicas.running.slice()) {
    programs.push(program);
    const answered = clients.map((client) => client.answered());
    const ending = program.stop('SIGTERM');
    const readiness = () => fetch(`http://${hostname}:${address.port}/readyz`);
    const unready = await until(async () => [await readiness()].find(({ ok }) => !ok));
    expect([unready.status, await unready.json()]).toMatchObject([503, { status: 'stopping' }]);
    const [ended] = await Promise.all([ending, replicas.start()]);
    expect([ended.status, ended.errors]).toEqual([0, '']);
    expect(program.faults()).toEqual([]);
    expect(ended.took).toBeGreaterThan(2_000);
    expect(ended.took).toBeLessThan(8_000);
    await until(() => clients.every((client, index) => client.answered() > (answered[index] ?? 0)));
  }
  await Promise.all(clients.map((client) => client.stop()));
  programs.push(...replicas.running.map(({ program }) => program));
  // On a busy machine PostgreSQL may answer too late, which the replica logs, and then its 503 is right.
  const isLate = programs.some((program) => program.complaints().length > program.faults().length);
  const failures = clients.flatMap((client) => client.failures);
  expect(failures.filter((failure) => !(isLate && failure.startsWith(overdue)))).toEqual([]);
  for (const client of clients) expect(client.answered()).toBeGreaterThan(100);
  await stream.closed;
  expect(stream.text()).toStartWith('HTTP/1.1 200 OK\r\n');
  expect(stream.text()).toEndWith('\r\n0\r\n\r\n');
});
