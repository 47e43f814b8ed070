import { escapeBytes, escapeLine, shortened, startOf } from '../cli/escape-text.ts';
import { faultyFieldsOf } from './faulty-fields.ts';
import { type Letter, letterAddress, reasonText, sentAt } from './letter.ts';

/** What has become of a letter. */
export const letterStates = ['open', 'redriven', 'discarded'] as const;
type LetterState = (typeof letterStates)[number];
/** What a list shows: the letters of one state, or all. */
export const listStates = [...letterStates, 'all'] as const;

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
export type Counts = {
  total: number;
  /** Messages of the topic that were not read, as there are `maxListed` newer ones. */
  older: number;
  stages: Count[];
  fields: Count[];
  ages: Count[];
};

/**
 * Messages of the topic that a list reads, the newest. A list of a million would take the time of a million, and each of its pages
 * again.
 */
export const maxListed = 100_000;

/** `next`: where the next page starts; null for the last one. */
export type Page = { letters: Row[]; counts: Counts; next: string | null };

type Options = {
  state: (typeof listStates)[number];
  /** The `next` of a page: the listing begins there. */
  after?: string | undefined;
  /** Messages of the topic that are not among the letters. */
  older: number;
  now?: number;
};

const maxKeyLength = 50;
const maxReasonLength = 300;
/** Distinct stages and fields that are counted. Any producer can name new ones. */
const maxNames = 200;
const maxCounts = 20;

const stateOf = ({ isRedriven, isDiscarded }: Letter): LetterState =>
  isRedriven ? 'redriven' : isDiscarded ? 'discarded' : 'open';

export const toRow = (letter: Letter): Row => ({
  letter: letterAddress(letter),
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

/** The first letters of a list, newest first, and the counts of all of it. */
export type Listing = {
  found: { place: Place; row: Row }[];
  /** Whether no letter comes after `found`. */
  isWhole: boolean;
  /** Where `found` begins; undefined for the newest letter. */
  start: Place | undefined;
  counts: Counts;
};

/** Letters that a listing holds: some megabytes, and enough for the pages that a person turns. */
export const maxHeld = 5_000;

/** Lists letters. Memory is that of `maxHeld` rows, however many letters there are. */
export const browse = async (
  letters: AsyncIterable<Letter[]>,
  { state, after, older, now = Date.now() }: Options,
): Promise<Listing> => {
  const start = after === undefined ? undefined : readCursor(after);
  let found: Listing['found'] = [];
  let isWhole = true;
  const cut = () => {
    found.sort((one, other) => compare(one.place, other.place));
    if (found.length > maxHeld) isWhole = false;
    found = found.slice(0, maxHeld);
  };
  let total = 0;
  const [stages, fields, byAge] = [createCounter(), createCounter(), createCounter()];
  for await (const batch of letters)
    for (const letter of batch) {
      if (state !== 'all' && stateOf(letter) !== state) continue;
      total++;
      stages.add(shortened(escapeLine(letter.stage ?? '-'), 20));
      for (const field of faultyFieldsOf(letter)) fields.add(field);
      byAge.add(ageOf(letter, now));
      const place = placeOf(letter);
      if (start && compare(place, start) <= 0) continue;
      found.push({ place, row: toRow(letter) });
      if (found.length > 2 * maxHeld) cut();
    }
  cut();
  const counts = { total, older, stages: stages.all(), fields: fields.all(), ages: byAge.all() };
  return { found, isWhole, start, counts };
};

/** A page of a listing, after a cursor; undefined if the listing does not hold it. */
export const pageOf = (
  { found, isWhole, start, counts }: Listing,
  { limit, after }: { limit: number; after?: string | undefined },
): Page | undefined => {
  const from = after === undefined ? undefined : readCursor(after);
  if (start && (!from || compare(from, start) < 0)) return undefined;
  const at = from ? found.findIndex(({ place }) => compare(place, from) > 0) : 0;
  const rest = at < 0 ? [] : found.slice(at, at + limit + 1);
  if (!isWhole && rest.length <= limit) return undefined;
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    letters: page.map(({ row }) => row),
    counts,
    next: rest.length > limit && last ? toCursor(last.place) : null,
  };
};
