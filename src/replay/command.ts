import { interruptedStatus, stopOnSignals } from '../async/signals.ts';
import { databaseUrlOf, explainDatabase, noDatabase } from '../cli/database.ts';
import { openKafka } from '../cli/kafka.ts';
import { createProgress } from '../cli/output.ts';
import type { ConfigOf, reads } from '../cli/reads.ts';
import { consumerGroupOf } from '../embedded/consumer-group.ts';
import { createKafkaOffsets } from '../ingest/kafka-offsets.ts';
import { createLog } from '../observability/log.ts';
import { isUndefinedTable } from '../postgres/errors.ts';
import { createOffsets } from '../postgres/offsets.ts';
import { openDatabase } from '../postgres/pool.ts';
import type { Command } from './options.ts';
import { replay } from './replay.ts';

/** Runs the command and resolves with the status of the process. */
export const execute = async (command: Command, config: ConfigOf<typeof reads.replay>): Promise<number> => {
  const url = databaseUrlOf(config);
  if (url === undefined) {
    console.error(`${noDatabase}: the stored offsets are in PostgreSQL.`);
    return 2;
  }
  const { kafka, retryKafka } = openKafka(config, 'order-replay');
  const admin = kafka.admin();
  const group = { groupId: consumerGroupOf(config), topic: config.topic };
  const sql = openDatabase({
    url,
    connections: 1,
    name: 'replay',
    silenceTimeoutSeconds: 30,
  });
  const progress = createProgress();
  const signal = stopOnSignals(() => progress.say('Stopped waiting; the consumers continue.'));
  try {
    await retryKafka(() => admin.connect());
    const isDone = await replay(command, {
      admin,
      kafkaOffsets: createKafkaOffsets(kafka, group, createLog('silent', 'replay')),
      retryKafka,
      offsets: createOffsets(sql),
      group,
      write: (line) => {
        progress.clear();
        console.log(line);
      },
      progress: progress.show,
      signal,
    });
    if (signal.aborted) return interruptedStatus(signal);
    return isDone ? 0 : 1;
  } catch (error) {
    throw isUndefinedTable(error)
      ? new Error('The database has no stored offsets yet: run `bun run migrate`.')
      : explainDatabase(error, url, config);
  } finally {
    progress.clear();
    await sql.end({ timeout: 1 });
  }
};
