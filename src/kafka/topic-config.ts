import { type Admin, ConfigResourceTypes } from 'kafkajs';
import { retry } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';
import { errorTypeOf } from './error-type.ts';

export type TopicConfig = {
  /** What is in effect, by name. */
  values: ReadonlyMap<string, string>;
  /** The settings of the topic itself, as opposed to defaults. */
  own: readonly { name: string; value: string }[];
};

/** Kafka's `ConfigSource` of settings of the topic itself. */
const dynamicTopicConfig = 1;

export const readTopicConfig = async (admin: Admin, topic: string): Promise<TopicConfig> => {
  const { resources } = await onceKnown(() =>
    admin.describeConfigs({
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
      includeSynonyms: false,
    }),
  );
  const entries = resources[0]?.configEntries ?? [];
  return {
    values: new Map(entries.map(({ configName, configValue }) => [configName, configValue])),
    own: entries
      .filter(({ configSource }) => Number(configSource) === dynamicTopicConfig)
      .map(({ configName, configValue }) => ({ name: configName, value: configValue })),
  };
};

/** As `readTopicConfig`, but undefined, with a warning, if this user may not describe the topic's settings. */
export const readTopicConfigIfAllowed = async (
  admin: Admin,
  topic: string,
  log: Log,
): Promise<TopicConfig | undefined> => {
  try {
    return await readTopicConfig(admin, topic);
  } catch (error) {
    if (errorTypeOf(error) !== 'TOPIC_AUTHORIZATION_FAILED') throw error;
    log.warn(
      { topic, operation: 'DescribeConfigs' },
      'the settings of the topic cannot be checked, Kafka’s defaults are assumed: grant DescribeConfigs on it',
    );
    return undefined;
  }
};

export const changeTopicConfig = async (
  admin: Admin,
  topic: string,
  changes: ReadonlyMap<string, string>,
): Promise<void> => {
  // The request replaces all settings of the topic, so it has to repeat the others.
  const { own } = await readTopicConfig(admin, topic);
  const kept = own.filter(({ name }) => !changes.has(name));
  const changed = [...changes].map(([name, value]) => ({ name, value }));
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [...kept, ...changed] }],
  });
};

export const maxMessageBytesOf = (config: TopicConfig | undefined): number =>
  Number(config?.values.get('max.message.bytes') ?? 1_048_588);

/** Settings by which Kafka loses records that nobody has read, and what to set instead. */
export const lossRisks = (config: TopicConfig | undefined): string[] => {
  const risks: string[] = [];
  if (config?.values.get('unclean.leader.election.enable') === 'true')
    risks.push(
      'the topic allows unclean leader election, which may lose orders: set unclean.leader.election.enable=false',
    );
  if (config?.values.get('cleanup.policy')?.includes('compact'))
    risks.push(
      'the topic is compacted, which loses all orders of a key but the last: set cleanup.policy=delete',
    );
  return risks;
};

/** Repeats the request while a broker does not know the topic yet: one that was just created takes a moment to reach them all. */
export const onceKnown = <T>(request: () => Promise<T>): Promise<T> => {
  let refusals = 0;
  const isUnknown = (error: unknown) =>
    errorTypeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION' && ++refusals <= 5;
  return retry(request, { signal: AbortSignal.timeout(10_000), isFinal: (error) => !isUnknown(error) });
};
