/** What decompressors share: the errors that they throw, and the copy that all of their formats know. */

/** `code` of the error for what would be longer than its limit; zlib's own. */
export const tooLargeCode = 'ERR_BUFFER_TOO_LARGE';

export const beyond = (limit: number) =>
  Object.assign(new RangeError(`decompressed it has more than ${limit} bytes`), { code: tooLargeCode });

export const damagedCode = 'DAMAGED';

export const damaged = (codec: string) =>
  Object.assign(new Error(`it is not ${codec}`), { code: damagedCode });

/** Whether what was to be decompressed is at fault, whatever the codec, and not this program or its memory. */
export const isFaultOfInput = (error: unknown): boolean =>
  /^(DAMAGED|ERR_BUFFER_TOO_LARGE|Z_|ZSTD_error_)/.test(String((error as { code?: unknown }).code));

/** Copies `count` bytes from `back` bytes before `to`; what was just copied may be copied again. */
export const repeat = (output: Buffer, to: number, back: number, count: number) => {
  if (back >= count) output.copyWithin(to, to - back, to - back + count);
  else if (back === 1) output.fill(output[to - 1] as number, to, to + count);
  else for (let at = to; at < to + count; at++) output[at] = output[at - back] as number;
};
