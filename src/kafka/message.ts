import type { KafkaMessage } from 'kafkajs';
import type { Unreadable } from './fetched-message.ts';

/** A message as Kafka sent it, with its topic and partition. */
export type Message = Pick<KafkaMessage, 'key' | 'value' | 'headers' | 'timestamp' | 'offset'> & {
  topic: string;
  partition: number;
  /** Set on the one message that stands for a record batch that cannot be read; such a message has no value. */
  unreadable?: Unreadable;
};

/** SHA-256 in base64. Distinguishes a message from another one at the same offset, as offsets start again when a topic is recreated. */
export const digestOf = ({ key, value, timestamp }: Pick<Message, 'key' | 'value' | 'timestamp'>): string => {
  const hasher = new Bun.CryptoHasher('sha256').update(timestamp);
  // Stored digests depend on these separators.
  for (const part of [key, value])
    hasher.update(part === null ? ' none ' : ` ${part.length} `).update(part ?? '');
  return hasher.digest('base64');
};
