import { unreadable } from './fetched-message.ts';

/** Reads bytes from the beginning on. Throws `unreadable` where they end before what a length in them announces. */
export const createCursor = (bytes: Buffer) => {
  let at = 0;
  const truncated = () => unreadable('it ends in the middle of a record');
  /** A varint of at most `bits` bits, without the zigzag encoding undone. */
  const unsigned = (bits: number) => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw truncated();
      if (shift >= bits) throw unreadable('a number has too many bytes');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(bits, value);
    }
  };
  /** Of 32 bits; the first lines are the fast path for one byte. */
  const varInt = () => {
    const byte = bytes[at];
    if (byte !== undefined && byte < 0x80) {
      at++;
      return (byte >>> 1) ^ -(byte & 1);
    }
    const value = Number(unsigned(32));
    return (value >>> 1) ^ -(value & 1);
  };
  const skip = (count: number) => {
    if (count < 0 || at + count > bytes.length) throw truncated();
    at += count;
  };
  /** A length of bytes that follow. */
  const length = () => {
    const count = varInt();
    if (count < 0 || at + count > bytes.length) throw truncated();
    return count;
  };
  return {
    at: () => at,
    left: () => bytes.length - at,
    varInt,
    varLong: () => {
      const value = unsigned(64);
      return (value >> 1n) ^ -(value & 1n);
    },
    skip,
    length,
    /** Bytes after their length; null for the length -1. */
    bytes: (): Buffer | null => {
      const count = varInt();
      if (count === -1) return null;
      skip(count);
      return bytes.subarray(at - count, at);
    },
  };
};

export type Cursor = ReturnType<typeof createCursor>;
