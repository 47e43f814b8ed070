#!/usr/bin/env bun
/** `kafka-broker`: the broker as a program of its own. */
import { parseArgs } from 'node:util';
import { startBroker } from './broker.ts';
import type { Log } from './topics.ts';

const help = `kafka-broker: a single-node Kafka broker for first runs and for tests

  --port NUMBER             where to listen (9092); 0 takes any free port
  --host HOST               the address to listen on (127.0.0.1); 0.0.0.0 for every one
  --advertised-host HOST    the host that clients are sent to (the address at which they came)
  --data-dir DIRECTORY      where messages are kept; without it, in memory only
  --partitions NUMBER       of topics that are made without saying how many (1)
  --no-auto-create          asking for a topic does not make it
  --topic-default KEY=VALUE a setting of topics that have none of their own; may be given again
  --help

The first line on stdout is "listening on HOST:PORT". Log lines are JSON, on stderr. SIGINT and SIGTERM stop it.`;

const integer = (name: string, text: string, max: number): number => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max)
    throw new Error(`--${name} must be an integer from 0 to ${max}, not "${text}"`);
  return value;
};

const keyAndValue = (text: string): [key: string, value: string] => {
  const [, key, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (key === undefined || value === undefined)
    throw new Error(`--topic-default must be KEY=VALUE, not "${text}"`);
  return [key, value];
};

const readArguments = () => {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '9092' },
      host: { type: 'string' },
      'advertised-host': { type: 'string' },
      'data-dir': { type: 'string' },
      partitions: { type: 'string', default: '1' },
      'no-auto-create': { type: 'boolean', default: false },
      'topic-default': { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  return values;
};

const logAs =
  (level: keyof Log): Log['info'] =>
  (fields, text) => {
    const json = JSON.stringify({ level, time: new Date().toISOString(), ...fields, message: text });
    process.stderr.write(`${json}\n`);
  };

const run = async () => {
  const values = readArguments();
  if (values.help) return console.log(help);
  const broker = await startBroker({
    port: integer('port', values.port, 65_535),
    defaultPartitions: integer('partitions', values.partitions, 1000),
    autoCreateTopics: !values['no-auto-create'],
    topicDefaults: Object.fromEntries(values['topic-default'].map(keyAndValue)),
    ...(values.host !== undefined && { host: values.host }),
    ...(values['advertised-host'] !== undefined && { advertisedHost: values['advertised-host'] }),
    ...(values['data-dir'] !== undefined && { dataDir: values['data-dir'] }),
    log: { info: logAs('info'), warn: logAs('warn'), error: logAs('error') },
  });
  console.log(`listening on ${broker.brokers}`);
  const stop = async () => {
    await broker.stop();
    process.exit(0);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
};

try {
  await run();
} catch (error) {
  console.error(`${(error as Error).message} (--help lists the options)`);
  process.exit(1);
}
