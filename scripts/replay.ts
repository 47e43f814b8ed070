/** `bun run replay`: moves the stored offsets of the consumer group, to read again or to leave out. `--help` says how. */
import { KafkaJSError } from 'kafkajs';
import { interruptedStatus, stopOnSignals } from '../src/async/signals.ts';
import { kafkaAddress } from '../src/config/kafka-address.ts';
import { type Config, readConfig } from '../src/config/settings.ts';
import { createProgress } from '../src/dead-letters/output.ts';
import { createKafka } from '../src/kafka/client.ts';
import { retryKafkaFor } from '../src/kafka/retry.ts';
import { errorText } from '../src/observability/error-text.ts';
import { createLog } from '../src/observability/log.ts';
import { createOffsets } from '../src/postgres/offsets.ts';
import { openDatabase } from '../src/postgres/pool.ts';
import { type Command, readCommand } from '../src/replay/options.ts';
import { replay } from '../src/replay/replay.ts';

/** Kafka has so long for each answer, in ms. */
const patience = 10_000;

const execute = async (command: Command, config: Config, databaseUrl: string): Promise<number> => {
  const brokers = config.brokers ?? ['127.0.0.1:9092'];
  const retryKafka = retryKafkaFor(
    patience,
    `${brokers}${config.brokers ? '' : ' (KAFKA_BROKERS is not set)'}`,
  );
  // What kafkajs has to say is said by `retryKafka`.
  const admin = createKafka(
    kafkaAddress(config, brokers),
    'order-replay',
    createLog('silent', 'replay'),
  ).admin();
  const sql = openDatabase({ url: databaseUrl, connections: 1, name: 'replay', silenceTimeoutSeconds: 30 });
  const progress = createProgress();
  const signal = stopOnSignals(() => progress.say('The consumers go on without this.'));
  try {
    await retryKafka(() => admin.connect());
    const isDone = await replay(command, {
      admin,
      retryKafka,
      offsets: createOffsets(sql),
      group: { groupId: config.groupId, topic: config.topic },
      write: (line) => console.log(line),
      progress: progress.show,
      signal,
    });
    if (signal.aborted) return interruptedStatus;
    return isDone ? 0 : 1;
  } finally {
    progress.clear();
    await sql.end({ timeout: 1 });
  }
};

const run = async (): Promise<number> => {
  let command: ReturnType<typeof readCommand>;
  let config: Config;
  try {
    command = readCommand(process.argv.slice(2));
    config = readConfig(process.env);
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
  if ('help' in command) {
    console.log(command.help);
    return 0;
  }
  if (config.databaseUrl === null) {
    console.error('Set DATABASE_URL: the stored offsets are in PostgreSQL.');
    return 2;
  }
  try {
    return await execute(command, config, config.databaseUrl);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === '42P01') console.error('The database has no stored offsets yet: run `bun run migrate`.');
    else console.error(`${error instanceof KafkaJSError ? 'Kafka refuses: ' : ''}${errorText(error)}`);
    return 1;
  }
};

// kafkajs may be in the middle of connecting, which it does not interrupt.
process.exit(await run());
