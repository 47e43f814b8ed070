import { escapeBytes, escapeLine, escapeText, shortened, textOfBytes } from '../cli/escape-text.ts';
import { header, textOf } from '../kafka/headers.ts';
import { faultsIn } from '../order/faults.ts';
import type { OrderParser } from '../order/parser.ts';
import { type Row, toRow } from './browse.ts';
import { type MarkedLine, markedJson } from './format/marked-json.ts';
import { prettyJson } from './format/pretty-json.ts';
import type { Letter } from './letter.ts';

/** Whether a value is an order by the rules of this program, and what is wrong with it if it is not. */
export type Check = { isValid: true; uid: string } | { isValid: false; stage: string; faults: string[] };

/** One letter for a person. All texts are escaped and cut. */
export type Detail = Row & {
  /** Where its message was: `PARTITION/OFFSET of TOPIC`. */
  from: string | null;
  /** The whole reason. */
  reason: string;
  headers: { name: string; value: string }[];
  bytes: number | null;
  /** The faults of the value, as the rules are now. */
  check: Check;
  /** The value. Its faults are at their fields, if it is JSON. */
  lines: MarkedLine[];
  /** Whether `lines` leaves out the end of a long value. */
  isCut: boolean;
  /** The value as text that can be edited; null if it is too long, or not text. */
  text: string | null;
  /** The number of the order that the value or the key names, if there is one. */
  uid: string | null;
};

/** In characters. */
const maxShownLength = 65_536;
/** In bytes: a form with it has to stay below the limit of a request's body. */
const maxEditableBytes = 40_960;
const maxLines = 3_000;
const maxReasonLength = 5_000;
const maxHeaders = 50;

export const checkValue = (value: Uint8Array | null, parser: OrderParser): Check => {
  const parsed = parser.parse(value);
  if ('order' in parsed) return { isValid: true, uid: parsed.order.order_uid };
  return { isValid: false, stage: parsed.stage, faults: faultsIn(parsed.reason).map(escapeLine) };
};

export const toDetail = (letter: Letter, parser: OrderParser): Detail => {
  const { value, headers, from } = letter;
  const text = value === null ? undefined : textOfBytes(value);
  const check = checkValue(value, parser);
  const faults = check.isValid ? [] : check.faults;
  const marked = text === undefined ? undefined : markedJson(text, faults, maxShownLength);
  const plain = () =>
    (value === null ? '' : escapeBytes(value.subarray(0, maxShownLength)))
      .split('\n')
      .map((line) => ({ text: line, faults: [] }));
  const lines = marked ?? plain();
  return {
    ...toRow(letter),
    from: from ? escapeLine(`${from.partition}/${from.offset} of ${shortened(from.topic, 249)}`) : null,
    reason: shortened(escapeLine(letter.reason ?? ''), maxReasonLength),
    headers: Object.keys(headers)
      .filter((name) => !known.includes(name))
      .slice(0, maxHeaders)
      .map((name) => ({
        name: shortened(escapeLine(name), 100),
        value: shortened(escapeLine(textOf(headers, name)?.slice(0, 500) ?? ''), 500),
      })),
    bytes: value?.length ?? null,
    check,
    lines: lines.slice(0, maxLines),
    isCut: lines.length > maxLines || (value?.length ?? 0) > maxShownLength,
    text: text === undefined || (value?.length ?? 0) > maxEditableBytes ? null : editable(text),
    uid: uidOf(letter, check),
  };
};

const known: string[] = Object.values(header);

/** Indented, if it stays short enough. */
const editable = (text: string): string => {
  const pretty = prettyJson(text, maxEditableBytes);
  return pretty === undefined || Buffer.byteLength(pretty) > maxEditableBytes ? text : pretty;
};

const uidOf = ({ key }: Letter, check: Check): string | null => {
  if (check.isValid) return check.uid;
  const text = key === null || key.length > 200 ? undefined : textOfBytes(key);
  return text === undefined || escapeText(text) !== text ? null : text;
};
