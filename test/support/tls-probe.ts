/**
 * Run by tls.test.ts as a process of its own, as authorities are read once for a process: connects to each service named on
 * the command line, as [name, environment], and prints by name whether it works, or why not.
 */

import { withTimeout } from '../../src/async/timeouts.ts';
import { kafkaAddress } from '../../src/config/kafka-address.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { openRedis } from '../../src/lookup/redis-client.ts';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { createLog } from '../../src/observability/log.ts';
import { openDatabase } from '../../src/postgres/pool.ts';

const silent = createLog('silent', 'test');

const connect = async (environment: Record<string, string>) => {
  const config = readConfig(environment);
  if (config.brokers) {
    const admin = createKafka(kafkaAddress(config, config.brokers), 'probe', silent).admin({
      retry: { retries: 0 },
    });
    await admin.connect();
    await admin.listTopics().finally(() => admin.disconnect());
  }
  if (config.databaseUrl) {
    const sql = openDatabase({ url: config.databaseUrl, connections: 1, name: 'probe' });
    const [row] = await sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`.finally(() =>
      sql.end({ timeout: 0 }),
    );
    if (!row?.ssl) return 'works, not encrypted';
  }
  if (config.redisUrl) {
    const redis = openRedis(config.redisUrl);
    const failed = new Promise<never>((_, reject) => redis.on('error', reject));
    await Promise.race([redis.connect().then(() => redis.set('{orders}:x', 'y')), failed]).finally(() =>
      redis.disconnect(),
    );
  }
  return 'works';
};

/** The clients give a connection a second, in which a busy machine may not finish all of these TLS handshakes. */
const attempts = 8;
const probe = async (environment: Record<string, string>) => {
  let outcome = '';
  for (let attempt = 0; attempt < attempts; attempt++) {
    outcome = await withTimeout(30_000, connect(environment)).catch(reasonOf);
    if (!outcome.startsWith('no answer in time')) break;
  }
  return outcome;
};

const services = JSON.parse(process.argv[2] ?? '{}') as Record<string, Record<string, string>>;
const probed = Object.entries(services).map(async ([name, environment]) => [name, await probe(environment)]);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(probed))));
process.exit();
