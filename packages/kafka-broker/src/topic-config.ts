/** The settings of a topic: those that do something here; any other is refused instead of kept and ignored. */
import type { Limits } from './partition-log.ts';
import { kafkaError } from './wire.ts';

export type TopicConfig = Record<string, string>;
/** `value` is the default. */
type Setting = { value: string; allowed: string; accepts: (value: string) => boolean };

const dayMs = 24 * 60 * 60 * 1000;
const mebibyte = 1024 * 1024;

const only = (value: string): Setting => ({ value, allowed: value, accepts: (given) => given === value });
const integer = (value: number, from: number, to: number): Setting => ({
  value: String(value),
  allowed: `an integer from ${from} to ${to}`,
  accepts: (given) => /^-?\d{1,15}$/.test(given) && Number(given) >= from && Number(given) <= to,
});

const settings: Record<string, Setting> = {
  'cleanup.policy': only('delete'),
  'compression.type': only('producer'),
  'max.message.bytes': integer(1_048_588, 0, 100 * mebibyte),
  'message.timestamp.type': only('CreateTime'),
  'min.insync.replicas': only('1'),
  // For each partition. Kafka has no such limit, but a first run must not fill the disk.
  'retention.bytes': integer(1024 * mebibyte, -1, Number.MAX_SAFE_INTEGER),
  'retention.ms': integer(7 * dayMs, -1, Number.MAX_SAFE_INTEGER),
  // A start reads one segment at a time into memory.
  'segment.bytes': integer(16 * mebibyte, 1, 256 * mebibyte),
};

/** Throws INVALID_CONFIG, which names the setting and what allowed. */
export const checkConfig = (config: TopicConfig) => {
  for (const [key, value] of Object.entries(config)) {
    const setting = Object.hasOwn(settings, key) ? settings[key] : undefined;
    if (!setting) {
      const known = Object.keys(settings).join(', ');
      throw kafkaError('INVALID_CONFIG', `${key} is not supported; supported are ${known}`);
    }
    if (!setting.accepts(value)) {
      throw kafkaError('INVALID_CONFIG', `${key} may be ${setting.allowed}, not ${JSON.stringify(value)}`);
    }
  }
};

/** Every setting, with the topic's own value, the broker's, or the default. */
export const completeConfig = (own: TopicConfig, brokerDefaults: TopicConfig): TopicConfig => ({
  ...Object.fromEntries(Object.entries(settings).map(([key, { value }]) => [key, value])),
  ...brokerDefaults,
  ...own,
});

export const limitsOf = (config: TopicConfig): Limits => ({
  maxMessageBytes: Number(config['max.message.bytes']),
  segmentBytes: Number(config['segment.bytes']),
  retentionMs: Number(config['retention.ms']),
  retentionBytes: Number(config['retention.bytes']),
});
