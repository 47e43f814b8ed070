import type { Admin } from 'kafkajs';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';
import { isFinal } from './retry.ts';
import {
  changeTopicConfig,
  maxMessageBytesOf,
  readTopicConfigIfAllowed,
  type TopicConfig,
} from './topic-config.ts';

/** What the dead-letter topic does to its records, by which the form of letters is chosen. */
export type LetterTopic = {
  /** False: records expire by their timestamp, or get another one. */
  keepsTimestamps: boolean;
  /** True: it refuses records without a key, and deletes older ones with the same key. */
  isCompacted: boolean;
};

type Promised = {
  maxMessageBytes: number;
  /** In ms; -1: without end. */
  retentionMs: number;
};

/** The settings with which letters last as promised. */
export const letterTopicConfig = ({ maxMessageBytes, retentionMs }: Promised) =>
  new Map([
    ['cleanup.policy', 'delete'],
    ['max.message.bytes', String(maxMessageBytes)],
    ['message.timestamp.type', 'CreateTime'],
    ['retention.bytes', '-1'],
    ['retention.ms', String(retentionMs)],
  ]);

/** The promised settings that the topic does not have. Larger messages than necessary are no fault. */
const changesTo = (config: TopicConfig, promised: Promised) =>
  new Map(
    [...letterTopicConfig(promised)].filter(([name, value]) =>
      name === 'max.message.bytes'
        ? maxMessageBytesOf(config) < promised.maxMessageBytes
        : (config.values.get(name) ?? value) !== value,
    ),
  );

/**
 * Checks the settings of the dead-letter topic, which others may have created. What lets letters vanish is changed if Kafka
 * allows it; otherwise a `warn` has the command for it. Settings that may not be read are taken for right, with a `warn`. Rejects
 * with the client's error.
 */
export const checkLetterTopic = async (
  admin: Admin,
  topic: string,
  promised: Promised,
  log: Log,
): Promise<LetterTopic> => {
  const config = await readTopicConfigIfAllowed(admin, topic, log);
  if (!config) return { keepsTimestamps: true, isCompacted: false };
  const changes = changesTo(config, promised);
  const { made, refused, error } = await change(admin, topic, changes);
  const was = (names: Iterable<string>) =>
    Object.fromEntries([...names].map((name) => [name, config.values.get(name)]));
  if (made.size > 0)
    log.info(
      { topic, from: was(made.keys()), to: Object.fromEntries(made) },
      'settings of the dead-letter topic changed, so that letters last',
    );
  if (refused.size > 0) {
    const command = await commandFor(admin, topic, refused);
    log.warn(
      { topic, settings: was(refused.keys()), error: errorText(error), command },
      'letters may be lost: Kafka refuses to change settings of the dead-letter topic; run the command',
    );
  }
  const inEffect = (name: string) => made.get(name) ?? config.values.get(name) ?? '';
  return {
    keepsTimestamps:
      inEffect('retention.ms') === '-1' && inEffect('message.timestamp.type') !== 'LogAppendTime',
    isCompacted: inEffect('cleanup.policy').includes('compact'),
  };
};

type Changes = Map<string, string>;

/** Makes all changes at once, or, if Kafka refuses that, each that it allows. */
const change = async (
  admin: Admin,
  topic: string,
  changes: Changes,
): Promise<{ made: Changes; refused: Changes; error?: unknown }> => {
  if (changes.size === 0) return { made: changes, refused: changes };
  try {
    await changeTopicConfig(admin, topic, changes);
    return { made: changes, refused: new Map() };
  } catch (error) {
    if (!isFinal(error)) throw error;
    if (changes.size === 1) return { made: new Map(), refused: changes, error };
    const made: Changes = new Map();
    const refused: Changes = new Map();
    for (const one of changes) {
      const result = await change(admin, topic, new Map([one]));
      for (const [name, value] of result.made) made.set(name, value);
      for (const [name, value] of result.refused) refused.set(name, value);
    }
    return { made, refused, error };
  }
};

const commandFor = async (admin: Admin, topic: string, changes: Changes) => {
  const { brokers } = await admin.describeCluster();
  const servers = brokers.map(({ host, port }) => `${host}:${port}`).join(',');
  const settings = [...changes].map(([name, value]) => `${name}=${value}`).join(',');
  return `kafka-configs.sh --bootstrap-server ${servers} --alter --entity-type topics --entity-name ${topic} --add-config ${settings}`;
};
