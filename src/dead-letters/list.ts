import { reasonText } from './filter.ts';
import { letterToJson, timeOf } from './format/json.ts';
import { safeBytes, safeLine, shortened, startOf } from './format/safe-text.ts';
import { addressOf, type Letter } from './letter.ts';

type Write = (line: string) => Promise<void>;
type Options = { all: boolean; json: boolean; limit: number | undefined };

/** Shown in the table unless told otherwise; all are counted. */
const rowsShown = 50;
/** Reasons that the summary tells, the most frequent first. */
const reasonsShown = 10;
/** Of each reason, in characters. */
const reasonShown = 300;
/** Kinds of reasons that are told apart. */
const kindsAtMost = 1_000;

/** What a summary counts as one: which item it was, and what was found there, differs from letter to letter. */
const kindOf = (letter: Letter) => {
  const reason = shortened(reasonText(letter), reasonShown)
    .replace(/\.\d+\./g, '.*.')
    .replace(/, (is|has) [^,]*$/, '');
  return `${shortened(letter.stage ?? '-', 20).padEnd(8)}  ${reason}`;
};

/** What is kept before the older is let go, in characters. */
const keptAtMost = 33_554_432;

/** The last `limit` of what is added, by time, newest first. `length`: what an item takes, in characters. */
const createNewest = <T>(limit: number, length: (item: T) => number) => {
  let kept: { time: number; item: T }[] = [];
  let added = 0;
  const sorted = () => kept.sort((one, other) => other.time - one.time).slice(0, limit);
  return {
    add(time: number, item: T) {
      kept.push({ time, item });
      added += length(item);
      if (kept.length < 2 * limit + 1_000 && added < keptAtMost) return;
      kept = sorted();
      added = 0;
    },
    items: () => sorted().map(({ item }) => item),
  };
};

/** As JSON: one letter a line, in the order of the topic; with `limit` the newest, these first. */
const listJson = async (letters: AsyncIterable<Letter[]>, { all, limit }: Options, write: Write) => {
  const newest = limit === undefined ? undefined : createNewest<string>(limit, (line) => line.length);
  for await (const batch of letters)
    for (const letter of batch) {
      if (letter.isRedriven && !all) continue;
      if (newest) newest.add(letter.time, letterToJson(letter));
      else await write(letterToJson(letter));
    }
  for (const line of newest?.items() ?? []) await write(line);
};

type Row = [letter: string, time: string, stage: string, key: string, reason: string];
const head: Row = ['LETTER', 'SENT (UTC)', 'STAGE', 'KEY', 'REASON'];

const toRow = (letter: Letter): Row => [
  addressOf(letter),
  timeOf(letter.time)?.slice(0, 19).replace('T', ' ') ?? '-',
  safeLine(shortened(letter.stage ?? '-', 20)),
  letter.key === null ? '-' : shortened(safeLine(safeBytes(startOf(letter.key, 204))), 50),
  [
    letter.isRedriven ? '(sent again) ' : '',
    letter.redrives > 0 ? `(after ${times(letter.redrives)}) ` : '',
    shortened(safeLine(shortened(reasonText(letter) || '-', reasonShown)), reasonShown),
  ].join(''),
];

const times = (count: number) => (count === 1 ? '1 redrive' : `${count} redrives`);

/** Columns as wide as their widest cell; `width` is that of the terminal, if it is one. */
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

/** As a table of the newest and a summary of all. */
const listTable = async (
  letters: AsyncIterable<Letter[]>,
  { all, limit = rowsShown }: Options,
  topic: string,
  write: Write,
) => {
  const newest = createNewest<Row>(limit, () => 500);
  const kinds = new Map<string, number>();
  let count = 0;
  let redriven = 0;
  for await (const batch of letters)
    for (const letter of batch) {
      if (letter.isRedriven) redriven += 1;
      if (letter.isRedriven && !all) continue;
      count += 1;
      newest.add(letter.time, toRow(letter));
      const kind = kindOf(letter);
      const counted = kinds.has(kind) || kinds.size < kindsAtMost ? kind : 'others';
      kinds.set(counted, (kinds.get(counted) ?? 0) + 1);
    }

  const rows = newest.items();
  if (rows.length > 0) {
    for (const line of toTable([head, ...rows], process.stdout.columns)) await write(line);
    await write('');
  }
  const notes = [
    rows.length < count ? `the newest ${rows.length} are shown, --limit shows more` : '',
    redriven > 0 && !all ? `${redriven} more were sent again, --all shows them` : '',
  ].filter((note) => note !== '');
  await write(
    `${count} ${count === 1 ? 'letter' : 'letters'} in ${topic}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`,
  );
  const byCount = [...kinds].sort((one, other) => other[1] - one[1]);
  for (const [kind, number] of byCount.slice(0, reasonsShown))
    await write(`${String(number).padStart(7)}  ${safeLine(kind)}`);
  const others = byCount.slice(reasonsShown).reduce((sum, [, number]) => sum + number, 0);
  if (others > 0) await write(`${String(others).padStart(7)}  of other reasons`);
};

/** Writes the letters, without those that were sent again unless `all` is asked for. */
export const list = (letters: AsyncIterable<Letter[]>, options: Options, topic: string, write: Write) =>
  options.json ? listJson(letters, options, write) : listTable(letters, options, topic, write);
