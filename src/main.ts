/**
 * The program: opens everything, connects the parts, and closes them in reverse order. The consumer threads start in ingest/worker.ts.
 */

import { retry } from './async/retry.ts';
import { createShutdown } from './async/shutdown.ts';
import { raceAbort } from './async/timeouts.ts';
import { takeNoArguments } from './cli/usage.ts';
import { consumerSettings, serviceName } from './config/consumer-settings.ts';
import { readConfig } from './config/read-config.ts';
import type { Config } from './config/settings.ts';
import { tracingSettings } from './config/tracing-settings.ts';
import { createLocalOperator, type Operator } from './console/operators.ts';
import { startProducer } from './embedded/producer.ts';
import { checkServices, openServices, type Services } from './embedded/services.ts';
import { welcome } from './embedded/welcome.ts';
import { isLoopback } from './http/address.ts';
import { createFeed } from './http/feed.ts';
import { type ConsumerThread, startConsumerThread } from './ingest/thread.ts';
import { keepWarm } from './lookup/warm-up.ts';
import { errorText } from './observability/error-text.ts';
import { createLog } from './observability/log.ts';
import { openTracing } from './observability/tracing/tracing.ts';
import { isFinalMigrationError, migrateDatabase } from './postgres/migrate.ts';
import type { Context } from './program/context.ts';
import { openLookup, openPostgres } from './program/open-lookup.ts';
import { checkAddresses, serveHttp } from './program/serve-http.ts';
import { openRetention } from './retention/open.ts';

/** Where something is embedded, the console is for this machine, unless operators are configured. */
const operatorsOf = ({ consoleTokens, host }: Config, { embedded }: Services): Operator[] =>
  consoleTokens ?? (embedded.length > 0 && isLoopback(host) ? [createLocalOperator()] : []);

/** Rejects with an Error of one line when the process cannot start. */
const start = async (context: Context) => {
  const { config, log, shutdown, open } = context;
  const hasHttp = config.serve.has('http');
  // Before anything is created.
  checkServices(config);
  await checkAddresses(config);
  const services = await openServices(config, log);
  open.defer(services.stop);
  services.ended.then((error) => error && shutdown.fail(error));
  shutdown.signal.throwIfAborted();
  // Fake orders in a database of the operator would be there for good.
  const hasFakeOrders = config.brokers === null && config.databaseUrl === null;
  if (config.brokers === null && !hasFakeOrders)
    log.warn(
      'KAFKA_BROKERS is not set, but DATABASE_URL is: orders are read from the embedded Kafka broker, and no fake ones are sent (`bun run producer` sends some)',
    );

  const postgres = openPostgres(context, services.databaseUrl);
  const feed = hasHttp && (config.liveFeed ?? config.brokers === null) ? createFeed() : undefined;
  const opened = openLookup(context, postgres, feed);
  const retention = openRetention(services.databaseUrl, config, log);
  open.defer(retention.close);
  const consumers: ConsumerThread[] = [];
  const operators = operatorsOf(config, services);
  const { url, makeIndexes } = serveHttp(context, {
    ...opened,
    postgres,
    services,
    retention: retention.retention,
    operators,
    consumers,
  });
  const untilStopped = { signal: shutdown.signal, failed: postgres.state.markDown };
  const migrate = () => migrateDatabase(services.databaseUrl, log);
  await raceAbort(shutdown.signal, retry(migrate, { ...untilStopped, isFinal: isFinalMigrationError }));
  postgres.state.markUp();
  void makeIndexes?.();
  retention.start();
  if (hasHttp) log.info({ page: config.publicUrl ?? `${url}${config.basePath}/` }, 'ready');
  if (hasHttp && services.embedded.length > 0)
    void welcome({
      url: url + config.basePath,
      services,
      store: postgres.store,
      hasFakeOrders,
      stopping: shutdown.signal,
      consoleToken: operators.find(({ isLocal }) => isLocal)?.token,
    });

  const { lookup, memory, redis, warmUp } = opened;
  if (config.serve.has('consumer')) {
    const stored: Parameters<typeof startConsumerThread>[0]['stored'] = ({ uids, newest }) => {
      lookup.onStored(uids);
      feed?.publish(newest);
    };
    for (let number = 1; number <= config.consumers; number++) {
      const settings = consumerSettings(config, services, number);
      consumers.push(startConsumerThread({ settings, stored, log }));
    }
    open.defer(async () => {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
    });
  }
  if (hasFakeOrders) open.defer(startProducer(services.brokers).stop);

  if (hasHttp) {
    opened.forget();
    const warm = () => retry(() => warmUp.run(shutdown.signal), untilStopped);
    await raceAbort(shutdown.signal, keepWarm({ warm, memory, redis }));
  }
};

const readConfigOrExit = (): Config => {
  try {
    return readConfig(process.env);
  } catch (error) {
    // Complete: what is allowed stands at its end.
    console.error((error as Error).message);
    process.exit(2);
  }
};

const main = async () => {
  takeNoArguments('Usage: bun start: all settings come from the environment, see docs/configuration.md');
  const config = readConfigOrExit();
  const tracing = await openTracing(tracingSettings(config, serviceName), createLog(config.logLevel, 'main'));
  const log = createLog(config.logLevel, 'main', tracing?.ids);
  const open = new AsyncDisposableStack();
  open.defer(() => tracing?.close());
  const shutdown = createShutdown({
    drainMs: config.serve.has('http') ? config.stopDelay * 1_000 : 0,
    onSignal: (signal, drainMs) => log.info({ signal, drainMs }, 'stopping'),
    onFailure: (error) => console.error(errorText(error)),
  });
  const starting = start({ config, log, tracing, shutdown, open }).catch(shutdown.fail);
  // Wait for the start as well: what it is just opening has to be closed.
  const status = await shutdown.finish(async () => {
    await starting;
    await open.disposeAsync();
  });
  if (status === 0) log.info('stopped');
  process.exit(status);
};

await main();
