import { escapeBytes, escapeLine, shortened, startOf } from '../cli/escape-text.ts';
import { faultsIn } from '../order/faults.ts';
import { addressOf, type Letter, reasonText, sentAt } from './letter.ts';

/** What has become of a letter. */
export const letterStates = ['open', 'redriven', 'discarded'] as const;
export type LetterState = (typeof letterStates)[number];

/** A letter in a list. All texts are escaped for a person, on one line, and cut. */
export type Row = {
  /** `PARTITION/OFFSET` */
  letter: string;
  /** When its message was sent; null if it has no valid time. */
  time: string | null;
  stage: string;
  key: string | null;
  reason: string;
  /** How often the message had been sent again before. */
  redrives: number;
  state: LetterState;
};

export type Count = { name: string; count: number };

/** The faulty fields of all letters that match, the most frequent first. A letter with several faulty fields counts for each. */
export type Counts = { total: number; stages: Count[]; fields: Count[]; ages: Count[] };

/** `next`: where the next page starts; null for the last one. */
export type Page = { letters: Row[]; counts: Counts; next: string | null };

type Options = {
  state: LetterState | 'all';
  limit: number;
  /** The `next` of the page before. */
  after?: string | undefined;
  now?: number;
};

const maxKeyLength = 50;
const maxReasonLength = 300;
/** In characters, of the reason that fields are read from: more than the longest one of this program. */
const maxSummarizedLength = 5_000;
/** Distinct stages and fields that are counted. Any producer can name new ones. */
const maxNames = 200;
const maxCounts = 20;

const stateOf = ({ isRedriven, isDiscarded }: Letter): LetterState =>
  isRedriven ? 'redriven' : isDiscarded ? 'discarded' : 'open';

export const toRow = (letter: Letter): Row => ({
  letter: addressOf(letter),
  time: sentAt(letter) ?? null,
  stage: escapeLine(shortened(letter.stage ?? '', 20)),
  key:
    letter.key === null
      ? null
      : shortened(escapeLine(escapeBytes(startOf(letter.key, 4 * maxKeyLength))), maxKeyLength),
  reason: shortened(escapeLine(shortened(reasonText(letter), maxReasonLength)), maxReasonLength),
  redrives: letter.redrives,
  state: stateOf(letter),
});

/** Newest first; letters of the same time by their place. */
type Place = { time: number; partition: number; offset: bigint };
const compare = (one: Place, other: Place): number =>
  other.time - one.time ||
  one.partition - other.partition ||
  (one.offset < other.offset ? 1 : one.offset > other.offset ? -1 : 0);

const placeOf = ({ time, partition, offset }: Letter): Place => ({
  time: Number.isFinite(time) ? time : -1,
  partition,
  offset: BigInt(offset),
});

const toCursor = ({ time, partition, offset }: Place) => `${time}_${partition}_${offset}`;

/** Where a page starts; undefined if the text is no cursor. */
export const readCursor = (text: string): Place | undefined => {
  const [, time, partition, offset] = /^(-1|\d{1,16})_(\d{1,9})_(\d{1,18})$/.exec(text) ?? [];
  return offset === undefined
    ? undefined
    : { time: Number(time), partition: Number(partition), offset: BigInt(offset) };
};

/** The fields that a reason names: `items.*.price`. */
const fieldsOf = ({ stage, reason = '' }: Letter): string[] => {
  if (stage !== 'validate') return [];
  const named = faultsIn(reason.slice(0, maxSummarizedLength)).flatMap((fault) => {
    const [, field] = /^([a-z_][\w.]{0,80}) (?:must|is|has|does|contains)\b/.exec(fault) ?? [];
    return field === undefined ? [] : [field.replace(/\.\d+(?=\.|$)/g, '.*')];
  });
  return [...new Set(named)];
};

const hourMs = 3_600_000;
const ages = [
  ['hour', hourMs],
  ['day', 24 * hourMs],
  ['week', 7 * 24 * hourMs],
  ['older', Number.POSITIVE_INFINITY],
] as const;

/** The longest of the first ages that a message has not reached. */
const ageOf = ({ time }: Letter, now: number) => ages.find(([, limit]) => now - time < limit)?.[0] ?? 'older';

const createCounter = () => {
  const counts = new Map<string, number>();
  return {
    add(name: string) {
      if (counts.has(name) || counts.size < maxNames) counts.set(name, (counts.get(name) ?? 0) + 1);
    },
    all: (): Count[] =>
      [...counts]
        .map(([name, count]) => ({ name, count }))
        .sort((one, other) => other.count - one.count)
        .slice(0, maxCounts),
  };
};

/** One page of the letters, newest first, and the counts of all of them. Holds little more than a page in memory. */
export const browse = async (
  letters: AsyncIterable<Letter[]>,
  { state, limit, after, now = Date.now() }: Options,
): Promise<Page> => {
  const start = after === undefined ? undefined : readCursor(after);
  let found: { place: Place; row: Row }[] = [];
  const cut = (length: number) => {
    found = found.sort((one, other) => compare(one.place, other.place)).slice(0, length);
  };
  let total = 0;
  const [stages, fields, byAge] = [createCounter(), createCounter(), createCounter()];
  for await (const batch of letters)
    for (const letter of batch) {
      if (state !== 'all' && stateOf(letter) !== state) continue;
      total++;
      stages.add(shortened(escapeLine(letter.stage ?? '-'), 20));
      for (const field of fieldsOf(letter)) fields.add(field);
      byAge.add(ageOf(letter, now));
      const place = placeOf(letter);
      if (start && compare(place, start) <= 0) continue;
      found.push({ place, row: toRow(letter) });
      if (found.length > 4 * limit + 1_000) cut(limit + 1);
    }
  cut(limit + 1);
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return {
    letters: page.map(({ row }) => row),
    counts: { total, stages: stages.all(), fields: fields.all(), ages: byAge.all() },
    next: found.length > limit && last ? toCursor(last.place) : null,
  };
};
