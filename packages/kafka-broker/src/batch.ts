/** Record batches (magic 2), the unit in which Kafka sends, stores and fetches messages. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { crc32c, kafkaError, noTransactions, Reader, readRecordsBatch } from './wire.ts';

/** Bytes before a batch's own length counts: base offset and length. */
const prefixBytes = 12;
/** A batch without records. */
export const batchHeaderBytes = 61;
const epochAt = 12;
/** What producers write where the log keeps the checksum of the base offset; so did logs before they had one. */
const producersEpochs = [-1, 0];
const crcCoversFrom = 21;
const transactional = 1 << 4;
const control = 1 << 5;

export type BatchHeader = ReturnType<typeof readBatchHeader>;

/** The header at the start of `bytes`, which must hold at least `batchHeaderBytes`. Nothing in it is checked yet. */
export const readBatchHeader = (bytes: Buffer) => {
  const reader = Reader.from(bytes);
  const header = {
    baseOffset: Number(reader.readInt64()),
    /** The size of the whole batch, in bytes. */
    size: reader.readInt32() + prefixBytes,
    leaderEpoch: reader.readInt32(),
    magic: reader.readInt8(),
    crc: reader.readUnsignedInt32(),
    attributes: reader.readInt16(),
    lastOffsetDelta: reader.readInt32(),
    firstTimestamp: Number(reader.readInt64()),
    maxTimestamp: Number(reader.readInt64()),
    producerId: reader.readInt64(),
    producerEpoch: reader.readInt16(),
    baseSequence: reader.readInt32(),
    count: reader.readInt32(),
  };
  return {
    ...header,
    nextOffset: header.baseOffset + header.lastOffsetDelta + 1,
    offsetIsVerified: header.leaderEpoch === offsetChecksum(bytes),
    offsetIsUnverifiable: producersEpochs.includes(header.leaderEpoch),
  };
};

// Given a plain buffer, the library's crc32c would copy it first.
const checksum = (bytes: Buffer): number => crc32c(Reader.from(bytes).buffer);

/** A checksum of the base offset at the start of `bytes`: 31 bits, never one of `producersEpochs`. */
const offsetChecksum = (bytes: Buffer): number => checksum(bytes.subarray(0, 8)) >>> 1 || 1;

/** Whether the fields that the checksum does not cover, or that cost nothing to check, can be those of a stored batch. */
export const hasPlausibleHeader = (header: BatchHeader): boolean =>
  header.magic === 2 &&
  header.size > batchHeaderBytes &&
  header.count > 0 &&
  header.lastOffsetDelta === header.count - 1 &&
  header.baseOffset >= 0 &&
  Number.isSafeInteger(header.nextOffset);

/** Whether `bytes`, one whole batch, are as its sender made them. */
export const isIntact = (bytes: Buffer, header: BatchHeader): boolean =>
  header.magic === 2 &&
  header.count > 0 &&
  header.lastOffsetDelta === header.count - 1 &&
  checksum(bytes.subarray(crcCoversFrom)) === header.crc;

/** Checks what a producer sent for one partition: exactly one sound batch. Throws what Kafka answers otherwise. */
export const checkBatch = (bytes: Buffer, maxBytes: number): BatchHeader => {
  if (bytes.length < batchHeaderBytes) throw kafkaError('CORRUPT_MESSAGE', 'the batch is cut short');
  const header = readBatchHeader(bytes);
  if (header.magic !== 2) {
    const text = `message format ${header.magic} is not supported, only 2 (Kafka 0.11 and later)`;
    throw kafkaError('UNSUPPORTED_FOR_MESSAGE_FORMAT', text);
  }
  if (header.size > bytes.length || header.size < batchHeaderBytes) {
    throw kafkaError('CORRUPT_MESSAGE', `a batch of ${header.size} bytes came as ${bytes.length}`);
  }
  if (header.size < bytes.length) throw kafkaError('INVALID_RECORD', 'more than one batch for a partition');
  if (bytes.length > maxBytes) throw kafkaError('MESSAGE_TOO_LARGE');
  if (header.count < 1 || header.lastOffsetDelta !== header.count - 1) {
    throw kafkaError(
      'INVALID_RECORD',
      `${header.count} records with offsets up to ${header.lastOffsetDelta}`,
    );
  }
  if (header.attributes & control) throw kafkaError('INVALID_RECORD', 'a control batch');
  if (header.attributes & transactional) throw noTransactions();
  if (!isIntact(bytes, header)) throw kafkaError('CORRUPT_MESSAGE', 'the checksum does not match');
  return header;
};

/**
 * Writes the offset that the log gave the batch into it. The batch's checksum does not cover the offset, so its own goes
 * into the leader epoch, which a broker without replicas does not need.
 */
export const setBaseOffset = (bytes: Buffer, offset: number) => {
  bytes.writeBigInt64BE(BigInt(offset));
  bytes.writeInt32BE(offsetChecksum(bytes), epochAt);
};

/** What clients see in place of the offset's checksum. */
export const clearLeaderEpoch = (bytes: Buffer) => bytes.writeInt32BE(0, epochAt);

/** To look for a time, a batch is decompressed no further than this, in bytes. */
const maxDecompressedBytes = 64 * 1024 * 1024;
/** The smallest size of a record. */
const leastRecordBytes = 7;
const codecs = 7;
/** By the codec's number; the others' decoders have no limit, and are not used. */
type Decompress = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer;
const decompressors: Record<number, Decompress> = { 1: gunzipSync, 4: zstdDecompressSync };

/** The batch with its records as they are when they are not compressed. Throws if that would exceed the limits. */
const plain = (bytes: Buffer, { attributes, count }: BatchHeader): Buffer => {
  const decompress = decompressors[attributes & codecs];
  if ((attributes & codecs) !== 0 && !decompress) throw new Error('a codec without a limit');
  const head = Buffer.from(bytes.subarray(0, batchHeaderBytes));
  const packed = bytes.subarray(batchHeaderBytes);
  const records = decompress?.(packed, { maxOutputLength: maxDecompressedBytes }) ?? packed;
  if (count * leastRecordBytes > records.length)
    throw new Error(`${count} records in ${records.length} bytes`);
  head.writeInt16BE(attributes & ~codecs, crcCoversFrom);
  head.writeInt32BE(head.length + records.length - prefixBytes, 8);
  return Buffer.concat([head, records]);
};

/** The first message of the intact batch from `fromOffset` on that is not older than `timestamp` (ms); unreadable records count as one. */
export const findTimestamp = (
  bytes: Buffer,
  timestamp: number,
  fromOffset: number,
): { offset: number; timestamp: number } | undefined => {
  const header = readBatchHeader(bytes);
  try {
    for (const record of readRecordsBatch(Reader.from(plain(bytes, header))).records) {
      const of = header.firstTimestamp + Number(record.timestampDelta);
      const offset = header.baseOffset + record.offsetDelta;
      if (of >= timestamp && offset >= fromOffset) return { offset, timestamp: of };
    }
    return undefined;
  } catch {
    // Only its checksum was verified: what a producer wrote inside may still be malformed, or use an unsupported codec.
  }
  return { offset: Math.max(fromOffset, header.baseOffset), timestamp: header.maxTimestamp };
};
