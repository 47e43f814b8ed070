/** What the decompressors share: their errors, and the copy of bytes that precede in the output. */

/** zlib's `code` of the error for a result that would be longer than its limit. */
const tooLargeCode = 'ERR_BUFFER_TOO_LARGE';

export const isTooLarge = (error: unknown): boolean => (error as { code?: unknown }).code === tooLargeCode;

export const tooLarge = (limit: number) =>
  Object.assign(new RangeError(`decompressed it has more than ${limit} bytes`), { code: tooLargeCode });

const damagedCode = 'DAMAGED';

export const damaged = (codec: string) =>
  Object.assign(new Error(`it is not ${codec}`), { code: damagedCode });

/** Whether an error of any of the codecs is due to the compressed bytes, and not to this program or its memory. */
export const isFaultOfInput = (error: unknown): boolean =>
  /^(DAMAGED|ERR_BUFFER_TOO_LARGE|Z_|ZSTD_error_)/.test(String((error as { code?: unknown }).code));

/** Copies `count` bytes to `to` from `back` bytes before. The ranges may overlap: bytes just copied are copied again. */
export const repeat = (output: Buffer, to: number, back: number, count: number) => {
  if (back >= count) output.copyWithin(to, to - back, to - back + count);
  else if (back === 1) output.fill(output[to - 1] as number, to, to + count);
  else for (let at = to; at < to + count; at++) output[at] = output[at - back] as number;
};
