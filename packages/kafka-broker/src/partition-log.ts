/**
 * One partition: segments of record batches, one after another, as their producers sent them.
 *
 * An append is in the file (write(2)) before it returns, so it outlives the process, however that ends; it is not
 * forced to the disk each time, so the last seconds may be lost with the machine's power, as with Apache Kafka's
 * defaults.
 */
import { checkBatch, setBaseOffset } from './batch.ts';
import { createProducers } from './producers.ts';
import { type Damage, openSegment, type Segment, type Write } from './segment.ts';
import type { Storage } from './storage.ts';
import { kafkaError } from './wire.ts';

/** Settings of the topic; −1 means no limit. */
export type Limits = {
  maxMessageBytes: number;
  segmentBytes: number;
  retentionMs: number;
  retentionBytes: number;
};
type Options = {
  storage: Storage;
  /** The settings as they are now. */
  limits: () => Limits;
  onDamage: (damage: Damage) => void;
  write?: Write;
  /** The first offset that can be read: records before it have been deleted. */
  logStart?: number;
  /** Keeps a new log start; what it throws goes to the caller. */
  saveLogStart?: (offset: number) => void;
};
/** Called after each append with its size, and with 0 when records were deleted or the log was closed. */
type Listener = (appendedBytes: number) => void;
export type PartitionLog = ReturnType<typeof openPartitionLog>;

/** Opens or makes the log; what is damaged in it is set aside and reported. */
export const openPartitionLog = ({
  storage,
  limits,
  onDamage,
  write = (file, bytes, position) => file.write(bytes, position),
  logStart: savedLogStart = 0,
  saveLogStart = () => {},
}: Options) => {
  const producers = createProducers();
  const listeners = new Set<Listener>();
  const open = (baseOffset: number) =>
    openSegment(storage.open(baseOffset), baseOffset, { onBatch: producers.remember, onDamage, write });

  const bases = storage.segments();
  const segments: Segment[] = (bases.length > 0 ? bases : [savedLogStart]).map(open);
  const active = () => segments.at(-1) as Segment;
  const nextOffset = () => active().nextOffset;
  let logStart = Math.max(savedLogStart, (segments[0] as Segment).baseOffset);
  let closed = false;

  const notify = (appendedBytes: number) => {
    for (const listener of [...listeners]) listener(appendedBytes);
  };
  const assertOpen = () => {
    if (closed) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
  };

  const roll = () => {
    segments.push(open(nextOffset()));
  };

  /** Whole segments below the log start go. */
  const advance = (offset: number) => {
    if (offset <= logStart) return;
    saveLogStart(offset);
    logStart = offset;
    while (segments.length > 1 && (segments[0] as Segment).nextOffset <= logStart) segments.shift()?.remove();
    notify(0);
  };

  /** Deletes the oldest segments as far as the topic's retention wants it. `now` in ms since 1970. */
  const expire = (now: number) => {
    const { retentionMs, retentionBytes } = limits();
    const isOld = ({ maxTimestamp }: Segment) =>
      retentionMs >= 0 && maxTimestamp >= 0 && maxTimestamp < now - retentionMs;
    if (active().size > 0 && isOld(active())) roll();
    let size = segments.reduce((sum, segment) => sum + segment.size, 0);
    let from = logStart;
    for (const segment of segments.slice(0, -1)) {
      const isTooMuch = retentionBytes >= 0 && size - segment.size >= retentionBytes;
      if (!isTooMuch && !isOld(segment)) break;
      size -= segment.size;
      from = segment.nextOffset;
    }
    advance(from);
  };

  return {
    get nextOffset() {
      return nextOffset();
    },
    /** The first offset that can be read. */
    get logStart() {
      return logStart;
    },
    get closed() {
      return closed;
    },

    /**
     * Appends what a producer sent and returns the offset of its first message. What an idempotent producer sent
     * before is not stored again. Throws Kafka's errors and the file system's; then nothing was stored.
     */
    append(bytes: Buffer): number {
      assertOpen();
      const { maxMessageBytes, segmentBytes } = limits();
      const sent = checkBatch(bytes, maxMessageBytes);
      const known = producers.check(sent);
      if (known !== undefined) return known;
      const offset = nextOffset();
      if (active().size > 0 && active().size + bytes.length > segmentBytes) {
        roll();
        expire(Date.now());
      }
      setBaseOffset(bytes, offset);
      active().append(bytes, { ...sent, baseOffset: offset, nextOffset: offset + sent.count });
      notify(bytes.length);
      return offset;
    },

    /**
     * Whole, intact batches of one segment, from the one that holds `offset` or follows it: `maxBytes` at most, save that a
     * first one always comes if `atLeastOne`. Throws CORRUPT_MESSAGE where the first is damaged.
     */
    fetch(offset: number, maxBytes: number, atLeastOne: boolean): Buffer {
      assertOpen();
      if (offset < logStart || offset > nextOffset()) throw kafkaError('OFFSET_OUT_OF_RANGE');
      const segment = segments.find(({ size, nextOffset }) => size > 0 && nextOffset > offset);
      return segment?.fetch(offset, maxBytes, atLeastOne) ?? Buffer.alloc(0);
    },

    /** Records before `offset` can no longer be read. Returns the log start, which never goes back. */
    deleteRecords(offset: number): number {
      assertOpen();
      if (offset < 0 || offset > nextOffset()) throw kafkaError('OFFSET_OUT_OF_RANGE');
      advance(offset);
      return logStart;
    },

    expire,

    /** The first message not older than `timestamp` (ms), or undefined. */
    findTime(timestamp: number): { offset: number; timestamp: number } | undefined {
      for (const segment of segments) {
        const found = segment.findTime(timestamp, logStart);
        if (found) return found;
      }
      return undefined;
    },

    /** The message with the highest timestamp, the first of several, or undefined if there is none. */
    findMaxTimestamp(): { offset: number; timestamp: number } | undefined {
      const newest = Math.max(...segments.map(({ maxTimestamp }) => maxTimestamp));
      return newest < 0 ? undefined : this.findTime(newest);
    },

    /** Until the returned function is called. */
    onChange(listener: Listener): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    close() {
      if (closed) return;
      closed = true;
      for (const segment of segments) segment.close();
      notify(0);
    },
  };
};
