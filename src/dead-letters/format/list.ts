import { escapeBytes, escapeLine, shortened, startOf } from '../../cli/escape-text.ts';
import { faultsIn } from '../../order/faults.ts';
import { type Letter, letterAddress, reasonText, sentAt } from '../letter.ts';
import { letterToJson } from './json.ts';

type Write = (line: string) => Promise<void>;
type Options = { all: boolean; discarded: boolean; json: boolean; limit: number | undefined };

/** Rows of the table unless `limit` is set. */
const defaultRows = 50;
/** The most frequent reasons that the summary lists. */
const maxSummaryReasons = 10;
/** In characters. */
const maxReasonLength = 300;
/** Distinct reasons that are counted. */
const maxKinds = 1_000;

/** In characters, for the summary: more than the longest reason of this program. */
const maxSummarizedLength = 5_000;

/** Without what differs from letter to letter: the index of an item, sizes and offsets, and the value found. */
const withoutPlaces = (reason: string) =>
  reason
    .replace(/\bitems\.\d+(?=[. ]|$)/g, 'items.*')
    .replace(/\bhas \d+ bytes\b/g, 'has * bytes')
    .replace(/\boffsets \d+ to \d+\b/g, 'offsets *')
    .replace(/, (is|has) [^,]*$/, '');

/** Groups letters for the summary, by each fault of an invalid order. */
const kindsOf = (letter: Letter): Set<string> => {
  const stage = shortened(letter.stage ?? '-', 20).padEnd(8);
  const { error, reason = '' } = letter;
  const faults = letter.stage === 'validate' ? faultsIn(reason.slice(0, maxSummarizedLength)) : [reason];
  return new Set(
    faults.map((fault) => {
      const kind = withoutPlaces(
        shortened(reasonText({ error, reason: fault || undefined }), maxReasonLength),
      );
      return `${stage}  ${kind}`;
    }),
  );
};

/** Characters buffered before older items are dropped. */
const maxBuffered = 33_554_432;

/** Keeps the `limit` newest items. `length` is the size of an item in characters. */
const createNewest = <T>(limit: number, length: (item: T) => number) => {
  let buffer: { time: number; item: T }[] = [];
  let buffered = 0;
  const sorted = () => buffer.sort((one, other) => other.time - one.time).slice(0, limit);
  return {
    add(time: number, item: T) {
      buffer.push({ time, item });
      buffered += length(item);
      if (buffer.length < 2 * limit + 1_000 && buffered < maxBuffered) return;
      buffer = sorted();
      buffered = 0;
    },
    items: () => sorted().map(({ item }) => item),
  };
};

/** One letter per line as JSON, in the order of the topic; with `limit` the newest ones, newest first. */
const listJson = async (
  letters: AsyncIterable<Letter[]>,
  { all, discarded, limit }: Options,
  write: Write,
) => {
  const newest = limit === undefined ? undefined : createNewest<string>(limit, (line) => line.length);
  for await (const batch of letters)
    for (const letter of batch) {
      if (letter.isDiscarded !== discarded || (letter.isRedriven && !all)) continue;
      if (newest) newest.add(letter.time, letterToJson(letter));
      else await write(letterToJson(letter));
    }
  for (const line of newest?.items() ?? []) await write(line);
};

type Row = [letter: string, time: string, stage: string, key: string, reason: string];
const head: Row = ['LETTER', 'SENT (UTC)', 'STAGE', 'KEY', 'REASON'];

const toRow = (letter: Letter): Row => [
  letterAddress(letter),
  sentAt(letter)?.slice(0, 19).replace('T', ' ') ?? '-',
  escapeLine(shortened(letter.stage ?? '-', 20)),
  letter.key === null ? '-' : shortened(escapeLine(escapeBytes(startOf(letter.key, 204))), 50),
  [
    letter.isRedriven ? '(sent again) ' : '',
    letter.redrives > 0 ? `(after ${times(letter.redrives)}) ` : '',
    shortened(escapeLine(shortened(reasonText(letter) || '-', maxReasonLength)), maxReasonLength),
  ].join(''),
];

const wereOf = (count: number) => (count === 1 ? 'was' : 'were');
const times = (count: number) => (count === 1 ? '1 redrive' : `${count} redrives`);

/** Aligns the columns. `width` is the terminal's, undefined if there is none. */
const toTable = (rows: Row[], width: number | undefined): string[] => {
  const columns = head.map((_, at) => Math.max(...rows.map((row) => Bun.stringWidth(row[at] ?? ''))));
  return rows.map((row) => {
    const cells = row.map((cell, at) =>
      at === row.length - 1 ? cell : cell + ' '.repeat((columns[at] ?? 0) - Bun.stringWidth(cell)),
    );
    const line = cells.join('  ');
    return width === undefined ? line : shortened(line, width);
  });
};

/** A table of the newest letters and a summary of all. */
const listTable = async (
  letters: AsyncIterable<Letter[]>,
  { all, discarded, limit = defaultRows }: Options,
  topic: string,
  write: Write,
) => {
  const newest = createNewest<Row>(limit, () => 500);
  const kinds = new Map<string, number>();
  let count = 0;
  let redriven = 0;
  let discards = 0;
  let severalFaults = 0;
  for await (const batch of letters)
    for (const letter of batch) {
      if (letter.isDiscarded !== discarded) {
        if (letter.isDiscarded) discards += 1;
        continue;
      }
      if (letter.isRedriven) redriven += 1;
      if (letter.isRedriven && !all) continue;
      count += 1;
      newest.add(letter.time, toRow(letter));
      const found = kindsOf(letter);
      if (found.size > 1) severalFaults += 1;
      for (const kind of found) {
        const counted = kinds.has(kind) || kinds.size < maxKinds ? kind : 'others';
        kinds.set(counted, (kinds.get(counted) ?? 0) + 1);
      }
    }

  const rows = newest.items();
  if (rows.length > 0) {
    for (const line of toTable([head, ...rows], process.stdout.columns)) await write(line);
    await write('');
  }
  const notes = [
    rows.length < count ? `the newest ${rows.length} are shown, --limit shows more` : '',
    severalFaults > 0 ? `${severalFaults} with several faults, counted for each` : '',
    redriven > 0 && !all ? `${redriven} more ${wereOf(redriven)} sent again, --all shows them` : '',
    discards > 0 ? `${discards} ${wereOf(discards)} discarded, --discarded shows them` : '',
  ].filter((note) => note !== '');
  await write(
    `${count} ${discarded ? 'discarded ' : ''}${count === 1 ? 'letter' : 'letters'} in ${topic}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`,
  );
  const byCount = [...kinds].sort((one, other) => other[1] - one[1]);
  for (const [kind, number] of byCount.slice(0, maxSummaryReasons))
    await write(`${String(number).padStart(7)}  ${escapeLine(kind)}`);
  const others = byCount.slice(maxSummaryReasons).reduce((sum, [, number]) => sum + number, 0);
  if (others > 0) await write(`${String(others).padStart(7)}  of other reasons`);
};

/** Writes the letters; redriven ones only with `all`. With `discarded` those that are discarded, without it the others. */
export const list = (letters: AsyncIterable<Letter[]>, options: Options, topic: string, write: Write) =>
  options.json ? listJson(letters, options, write) : listTable(letters, options, topic, write);
