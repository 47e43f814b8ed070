import { escapeText, textOfBytes } from '../../cli/escape-text.ts';
import { type Letter, letterAddress, sentAt } from '../letter.ts';

/** A string if the bytes are UTF-8, else `{ base64 }`, so that no byte is lost. */
const bytesToJson = (bytes: Buffer | null) => {
  if (bytes === null) return null;
  return textOfBytes(bytes) ?? { base64: bytes.toString('base64') };
};

const headerToJson = (held: Letter['headers'][string]) => {
  const values = (Array.isArray(held) ? held : [held]).map((value) =>
    bytesToJson(value === null || value === undefined ? null : Buffer.from(value)),
  );
  return values.length === 1 ? values[0] : values;
};

/** The complete letter as one line of JSON. */
export const letterToJson = (letter: Letter): string => {
  const { stage, error, reason, from, redrives, isRedriven, isDiscarded, key, value, headers } = letter;
  const json = JSON.stringify({
    letter: letterAddress(letter),
    time: sentAt(letter) ?? null,
    stage,
    error,
    reason,
    from,
    redrives,
    redriven: isRedriven,
    discarded: isDiscarded,
    key: bytesToJson(key),
    value: bytesToJson(value),
    headers: Object.fromEntries(Object.entries(headers).map(([name, held]) => [name, headerToJson(held)])),
  });
  return escapeText(json);
};
