/**
 * Kafka's encoding, from the library. `Reader` and `Writer` support both encodings of Kafka and trust their input; the functions
 * here throw on lengths that cannot be true, so that a hostile count neither loops nor walks backwards. `compact` is the encoding
 * of flexible versions, in which each entry of a list ends with tagged fields.
 */
import { protocolErrors, Reader, Writer } from '@platformatic/kafka';

export { crc32c, protocolAPIsByName as apiKeys, readRecordsBatch } from '@platformatic/kafka';
export { Reader, Writer };

/** An error that has a code in Kafka's protocol and is answered with it. */
export type KafkaError = Error & { kafkaCode: number };

/** The number of an error of Kafka's protocol, by its name. */
export const errorCode = (name: string): number => {
  const known = protocolErrors[name];
  if (!known) throw new Error(`Kafka's protocol has no error ${name}`);
  return known.code;
};

export const kafkaError = (name: string, text = name): KafkaError =>
  Object.assign(new Error(text), { kafkaCode: errorCode(name) });

/** What every request of a transactional producer gets, as clients report it and do not retry. */
export const noTransactions = () => kafkaError('UNSUPPORTED_VERSION', 'transactions are not supported');

export const isKafkaError = (error: unknown): error is KafkaError =>
  error instanceof Error && 'kafkaCode' in error;

const checkLength = (reader: Reader, length: number) => {
  if (length < -1 || length > reader.remaining)
    throw new Error(`a length of ${length} where ${reader.remaining} bytes are left`);
};

export const readText = (reader: Reader, compact = false): string | null => {
  checkLength(reader, compact ? reader.peekUnsignedVarInt() - 1 : reader.peekInt16());
  return reader.readNullableString(compact);
};

export const readName = (reader: Reader, compact = false): string => readText(reader, compact) ?? '';

/** Skips the tagged fields at the end of a flexible structure: there are none that the broker needs. */
export const skipTags = (reader: Reader) => {
  for (let left = reader.readUnsignedVarInt(); left > 0; left--) {
    reader.readUnsignedVarInt();
    const length = reader.readUnsignedVarInt();
    checkLength(reader, length);
    reader.skip(length);
  }
};

export const readBytes = (reader: Reader): Buffer => {
  checkLength(reader, reader.peekInt32());
  return reader.readBytes(false);
};

/** Null where Kafka allows a null list, which mostly means "all". */
export const readListOrNull = <T>(
  reader: Reader,
  entry: (reader: Reader) => T,
  compact = false,
): T[] | null => {
  checkLength(reader, compact ? reader.peekUnsignedVarInt() - 1 : reader.peekInt32());
  const read = () => {
    const value = entry(reader);
    if (compact) skipTags(reader);
    return value;
  };
  return reader.readNullableArray(read, compact, false);
};

export const readList = <T>(reader: Reader, entry: (reader: Reader) => T): T[] =>
  readListOrNull(reader, entry) ?? [];

export const writeText = (writer: Writer, text: string | null, compact = false) =>
  writer.appendString(text, compact);

export const writeBytes = (writer: Writer, bytes: Buffer | null) => writer.appendBytes(bytes, false);

export const writeList = <T>(writer: Writer, list: T[], entry: (entry: T) => void, compact = false) =>
  writer.appendArray(list, (_, value) => entry(value), compact, compact);

/** Unlike other entries, numbers have no tagged fields. */
export const writeNumbers = (writer: Writer, list: number[], compact: boolean) =>
  writer.appendArray(list, (_, value) => writer.appendInt32(value), compact, false);

/** Most requests and answers about partitions list them under their topics. */
export type ByTopic<T> = { topic: string; partitions: T[] }[];

export const readTopics = <T>(reader: Reader, partition: () => T): ByTopic<T> =>
  readList(reader, () => ({ topic: readName(reader), partitions: readList(reader, partition) }));

export const writeTopics = <T>(writer: Writer, topics: ByTopic<T>, partition: (partition: T) => void) =>
  writeList(writer, topics, ({ topic, partitions }) => {
    writeText(writer, topic);
    writeList(writer, partitions, partition);
  });

/** The result of `work` for each partition, one after another; `work` gets the topic as well. */
export const mapTopics = async <T extends { partition: number }, U>(
  topics: ByTopic<T>,
  work: (partition: T & { topic: string }) => Promise<U>,
): Promise<ByTopic<U & { partition: number }>> => {
  const results: ByTopic<U & { partition: number }> = [];
  for (const { topic, partitions } of topics) {
    const done: (U & { partition: number })[] = [];
    for (const entry of partitions) {
      done.push({ ...(await work({ ...entry, topic })), partition: entry.partition });
    }
    results.push({ topic, partitions: done });
  }
  return results;
};
