import type { Consumer } from 'kafkajs';

/** What Kafka answered to a fetch for one partition. */
export type PartitionResult = {
  partition: number;
  error: Error | null;
  /** kafkajs looks for another leader, offset or topic after this error. Any other leaves the partition out for a second. */
  isRecovered: boolean;
  fetchedOffset: string;
  /** The offset after the last message that may be read now. */
  readableEnd: string;
  /** How many it brought. */
  messages: number;
};

/** `bytes`: of all partitions' messages. */
type FetchResult = { bytes: number; partitions: PartitionResult[] };

/** Calls `listener` with each response to a fetch, before its messages are processed. The event is added by our patch. */
export const onFetchResult = (consumer: Consumer, listener: (result: FetchResult) => void) =>
  consumer.on('consumer.fetch_response' as 'consumer.fetch', ({ payload }) =>
    listener(payload as unknown as FetchResult),
  );
