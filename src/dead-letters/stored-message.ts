import type { FetchedMessage } from '../kafka/fetched-message.ts';

/** A message in a topic, or a batch that could not be decoded. */
export type StoredMessage = Pick<
  FetchedMessage,
  'key' | 'value' | 'timestamp' | 'offset' | 'headers' | 'unreadable'
>;
