/**
 * Finds the intact batches of a segment. Damage anywhere, a torn write at the end or flipped bits in the middle, costs
 * the batches that it hit and no other: what follows it is found again by its checksums.
 */
import {
  type BatchHeader,
  batchHeaderBytes,
  hasPlausibleHeader,
  isIntact,
  readBatchHeader,
} from './batch.ts';
import type { Range } from './storage.ts';

export type Found = { header: BatchHeader; position: number };
export type Scan = { found: Found[]; kept: Range[] };

/** `nextOffset`: the base offset that the first batch must have, unless something before it is damaged. */
export const findIntact = (bytes: Buffer, nextOffset: number): Scan => {
  const found: Found[] = [];
  const kept: Range[] = [];
  const last = bytes.length - batchHeaderBytes;
  let expected = nextOffset;
  let skipped = false;
  for (let position = 0; position <= last; ) {
    const header = intactAt(bytes, position, expected, skipped);
    if (!header) {
      skipped = true;
      position++;
      continue;
    }
    const to = position + header.size;
    const range = kept.at(-1);
    if (range?.to === position) range.to = to;
    else kept.push({ from: position, to });
    found.push({ header, position });
    expected = header.nextOffset;
    skipped = false;
    position = to;
  }
  return { found, kept };
};

const magicAt = 16;

const intactAt = (
  bytes: Buffer,
  position: number,
  expected: number,
  skipped: boolean,
): BatchHeader | undefined => {
  // Cheap checks first: where batches were lost, every byte may be the first of the next one.
  if (bytes[position + magicAt] !== 2) return undefined;
  const header = readBatchHeader(bytes.subarray(position));
  if (header.size > bytes.length - position || !hasPlausibleHeader(header)) return undefined;
  // A gap is what earlier damage left, or this one's: the offset has to be verified.
  const follows =
    header.baseOffset === expected ||
    (header.baseOffset > expected && (header.offsetIsVerified || (skipped && header.offsetIsUnverifiable)));
  if (!follows) return undefined;
  return isIntact(bytes.subarray(position, position + header.size), header) ? header : undefined;
};
