import { damaged, repeat, tooLarge } from './decompress.ts';

/**
 * Decompresses Snappy's raw format. Our own, as the WebAssembly decoder leaks memory at damaged input. Throws `tooLarge` and
 * `damaged`.
 */
export const decompressSnappy = (bytes: Buffer, limit: number): Buffer => {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return decompressBlock(bytes, limit);
  // Java clients frame it as the xerial library does, in blocks that follow their lengths; librdkafka does not.
  const blocks: Buffer[] = [];
  let left = limit;
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) throw damaged('snappy');
    const block = decompressBlock(bytes.subarray(at + 4, end), left);
    blocks.push(block);
    left -= block.length;
    at = end;
  }
  return Buffer.concat(blocks);
};

const xerialMagic = Buffer.from('\x82SNAPPY\0', 'latin1');
const xerialHeaderBytes = 16;
/** Three bytes encode at most 64, so a length in the header above this ratio is false. */
const maxRatio = 22;

const decompressBlock = (bytes: Buffer, limit: number): Buffer => {
  let at = 0;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    if (byte === undefined || shift > 28) throw damaged('snappy');
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  if (length > bytes.length * maxRatio) throw damaged('snappy');
  if (length > limit) throw tooLarge(limit);

  const output = Buffer.allocUnsafe(length);
  let to = 0;
  while (at < bytes.length) {
    const tag = bytes[at++] as number;
    const kind = tag & 3;
    if (kind === 0) {
      let count = tag >> 2;
      if (count >= 60) {
        const more = count - 59;
        if (at + more > bytes.length) throw damaged('snappy');
        count = bytes.readUIntLE(at, more);
        at += more;
      }
      count += 1;
      if (at + count > bytes.length || to + count > length) throw damaged('snappy');
      bytes.copy(output, to, at, at + count);
      at += count;
      to += count;
    } else {
      const wide = kind === 3 ? 4 : kind;
      if (at + wide > bytes.length) throw damaged('snappy');
      const count = kind === 1 ? 4 + ((tag >> 2) & 7) : 1 + (tag >> 2);
      const back = bytes.readUIntLE(at, wide) + (kind === 1 ? (tag >> 5) << 8 : 0);
      at += wide;
      if (back === 0 || back > to || to + count > length) throw damaged('snappy');
      repeat(output, to, back, count);
      to += count;
    }
  }
  if (to !== length) throw damaged('snappy');
  return output;
};
