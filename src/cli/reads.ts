import { type Config, settings } from '../config/settings.ts';

/**
 * The settings that each command reads. The type of its configuration and its help follow from the list, so a command cannot read a
 * setting that its help does not name.
 */

type Name = keyof Config;
export type ConfigOf<Names extends readonly Name[]> = Pick<Config, Names[number]>;

const authorities = ['authorities'] as const;
const kafka = [
  'brokers',
  'topic',
  'kafkaSsl',
  'kafkaCertificate',
  'kafkaKey',
  'saslMechanism',
  'saslUsername',
  'saslPassword',
] as const;
const database = ['databaseUrl', 'databasePassword', 'dataDir'] as const;
const rules = ['currencies', 'providers', 'locales', 'trackPattern', 'freeItems', 'retentionDays'] as const;
const newTopics = ['deadLetterTopic', 'partitions', 'letterRetentionDays'] as const;
const traces = ['otlpEndpoint', 'tracesSampler', 'tracesSamplerShare'] as const;

export const reads = {
  producer: [...kafka, ...newTopics, ...rules, ...traces, ...authorities],
  'dead-letters': [...kafka, 'deadLetterTopic', 'maxBatchBytes', ...rules, ...authorities],
  replay: [...database, ...kafka, 'groupId', ...authorities],
  orders: [...database, ...authorities],
  migrate: [...database, 'logLevel', ...authorities],
} as const satisfies Record<string, readonly Name[]>;

/** Defaults that the table of settings does not have, or that a command has of its own. */
const defaults: { [N in Name]?: string } = {
  brokers: '127.0.0.1:9092',
  topic: settings.topic.default,
  deadLetterTopic: settings.deadLetterTopic.default,
  databaseUrl: 'the embedded PostgreSQL in DATA_DIR',
  groupId: 'that of bun start',
};

const lineWidth = 120;

/** The settings that a command reads, as the last lines of its help. */
export const settingLines = (command: keyof typeof reads): string => {
  const names: readonly Name[] = reads[command];
  const words = names.map((name) => {
    const { variable } = settings[name];
    return defaults[name] === undefined ? variable : `${variable} (${defaults[name]})`;
  });
  const lines = ['From the environment:'];
  for (const [index, word] of words.entries()) {
    const next = `${word}${index === words.length - 1 ? '.' : ','}`;
    const line = `${lines.at(-1)} ${next}`;
    if (line.length <= lineWidth) lines[lines.length - 1] = line;
    else lines.push(next);
  }
  return lines.join('\n');
};
