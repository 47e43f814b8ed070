import { damaged, repeat, tooLarge } from './decompress.ts';

/**
 * Decompresses LZ4's frame format. Our own, as the WebAssembly decoder has no limit and leaks memory at damaged input. Checksums are
 * not verified, as that of the record batch covers all bytes. Throws `tooLarge` and `damaged`.
 */
export const decompressLz4 = (bytes: Buffer, limit: number): Buffer => {
  // Only the sequences give the length; so they are read twice, and nothing is allocated for input that is damaged or too large.
  let length = 0;
  for (const block of blocksOf(bytes)) {
    length += block.isPlain ? block.bytes.length : lengthOf(block.bytes, limit - length);
    if (length > limit) throw tooLarge(limit);
  }
  const output = Buffer.allocUnsafe(length);
  let to = 0;
  for (const { bytes: block, isPlain } of blocksOf(bytes)) {
    if (isPlain) to += block.copy(output, to);
    else
      for (const { literals, at, back, count } of sequencesOf(block)) {
        block.copy(output, to, at, at + literals);
        to += literals;
        if (back > to) throw damaged('lz4');
        repeat(output, to, back, count);
        to += count;
      }
  }
  return output;
};

const frameMagic = 0x184d2204;
const isSkippable = (magic: number) => magic >= 0x184d2a50 && magic <= 0x184d2a5f;
const plainBlock = 0x80000000;

type Block = { bytes: Buffer; isPlain: boolean };

function* blocksOf(bytes: Buffer): Generator<Block> {
  let at = 0;
  const take = (count: number) => {
    if (at + count > bytes.length) throw damaged('lz4');
    at += count;
    return bytes.subarray(at - count, at);
  };
  while (at < bytes.length) {
    const magic = take(4).readUInt32LE();
    if (isSkippable(magic)) {
      take(take(4).readUInt32LE());
      continue;
    }
    const [flags = 0] = take(2);
    const has = (flag: number) => (flags & flag) !== 0;
    // Version 1, and without a dictionary, as Kafka has none.
    if (magic !== frameMagic || flags >> 6 !== 1 || has(1)) throw damaged('lz4');
    take(has(8) ? 9 : 1);
    for (let size = take(4).readUInt32LE(); size !== 0; size = take(4).readUInt32LE()) {
      yield { bytes: take(size % plainBlock), isPlain: size >= plainBlock };
      if (has(16)) take(4);
    }
    if (has(4)) take(4);
  }
}

/** `literals` bytes from `at` on as they are, then `count` bytes that came `back` bytes before; 0 of them at the end. */
type Sequence = { literals: number; at: number; back: number; count: number };

/** Yields the same object each time, with other values: one for each sequence would cost more than the copying. */
function* sequencesOf(block: Buffer): Generator<Sequence> {
  const sequence: Sequence = { literals: 0, at: 0, back: 0, count: 0 };
  let at = 0;
  const counted = (nibble: number) => {
    let count = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255; count += more) {
      if (at >= block.length) throw damaged('lz4');
      more = block[at++] as number;
    }
    return count;
  };
  while (at < block.length) {
    const token = block[at++] as number;
    sequence.literals = counted(token >> 4);
    sequence.at = at;
    at += sequence.literals;
    if (at > block.length) throw damaged('lz4');
    sequence.back = 0;
    sequence.count = 0;
    if (at < block.length) {
      if (at + 2 > block.length) throw damaged('lz4');
      sequence.back = block.readUInt16LE(at);
      at += 2;
      sequence.count = counted(token & 15) + 4;
      if (sequence.back === 0) throw damaged('lz4');
    }
    yield sequence;
  }
}

const lengthOf = (block: Buffer, limit: number): number => {
  let length = 0;
  for (const { literals, count } of sequencesOf(block)) {
    length += literals + count;
    if (length > limit) throw tooLarge(limit);
  }
  return length;
};
