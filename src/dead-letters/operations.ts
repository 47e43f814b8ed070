import pLimit from 'p-limit';
import { createKafka, type KafkaAddress } from '../kafka/client.ts';
import { limitBatches } from '../kafka/record-batches.ts';
import { retryKafkaFor } from '../kafka/retry.ts';
import { createLog } from '../observability/log.ts';
import { createOrderParser } from '../order/parser.ts';
import type { OrderRules } from '../order/rules.ts';
import { browse, type Listing, type listStates, maxListed, type Page, pageOf } from './browse.ts';
import { type Check, checkValue, type Detail, toDetail } from './detail.ts';
import { type Filter, matches } from './filter.ts';
import type { Fix } from './fix.ts';
import { type Letter, letterAddress, parseLetterAddress } from './letter.ts';
import { createLetterClient, shownReason } from './letter-client.ts';
import type { Letters } from './letters.ts';

export type LetterSettings = {
  kafka: KafkaAddress;
  topic: string;
  deadLetterTopic: string;
  rules: OrderRules;
  maxBatchBytes: number | null;
  /** Instead of the default. */
  maxListed?: number;
};

/** `read`: share of the topic, from 0 to 1. `done`: letters sent, discarded or restored; in a dry run those that would be. */
export type Progress = { read: number; done: number; skipped: number };
export type Skipped = { letter: string; reason: string };
/** `skippedLetters`: the first of them. */
export type ChangeOutcome = Progress & { skippedLetters: Skipped[] };

export type ListQuery = {
  filter: Filter;
  state: (typeof listStates)[number];
  limit: number;
  after?: string | undefined;
};
type RedriveOrder = {
  filter: Filter;
  fix?: Fix | undefined;
  value?: string | undefined;
  isDry: boolean;
};
type DiscardOrder = { filter: Filter; undo: boolean; isDry: boolean };

type Run = { signal: AbortSignal; onProgress?: (progress: Progress) => void };

/** The time limit of one operation on Kafka. */
const timeoutMs = 10_000;
/** Skipped letters that an outcome lists. */
const maxSkipped = 200;
/** A listing is used again for so long: for the next page. */
const maxListingAgeMs = 60_000;
/** Each reads the topic, through connections of its own. */
const concurrentReads = 3;

/** Counts the outcomes of a change, and reports them. */
const createCount = ({ onProgress }: Run) => {
  const outcome: ChangeOutcome = { read: 0, done: 0, skipped: 0, skippedLetters: [] };
  const report = () => {
    const { read, done, skipped } = outcome;
    onProgress?.({ read, done, skipped });
  };
  return {
    outcome,
    onRead(share: number) {
      outcome.read = share;
      report();
    },
    done(count: number) {
      outcome.done += count;
      report();
    },
    skip(letter: Letter, reason: string) {
      outcome.skipped++;
      if (outcome.skippedLetters.length < maxSkipped)
        outcome.skippedLetters.push({
          letter: letterAddress(letter),
          reason: shownReason(reason),
        });
    },
  };
};

type Count = ReturnType<typeof createCount>;

/**
 * What people do with dead letters, as plain data in and out. Each call connects to Kafka, reads the dead-letter topic, and
 * disconnects. Letters are changed by one call at a time. Rejects with an error of the code `kafkaUnavailable` while Kafka is down.
 */
export const createLetterOperations = ({ topic, deadLetterTopic, ...settings }: LetterSettings) => {
  limitBatches(settings.maxBatchBytes);
  const parser = createOrderParser(settings.rules);
  const client = createLetterClient({
    kafka: createKafka(settings.kafka, 'order-console', createLog('silent', 'console')),
    retryKafka: retryKafkaFor(timeoutMs, String(settings.kafka.brokers)),
    topic,
    deadLetterTopic,
  });
  const reading = pLimit(concurrentReads);
  const writing = pLimit(1);

  type Reading = { signal: AbortSignal; newest?: number; onRead?: (share: number) => void };
  const open = ({ onRead, ...options }: Reading) =>
    client.open({
      ...options,
      onRead: (read, total) => onRead?.(total === 0 ? 1 : Math.min(1, read / total)),
    });

  let last: { key: string; at: number; listing: Listing } | undefined;

  /** Runs one change at a time, on the letters as they are then. */
  const change = (
    run: Run,
    work: (letters: Letters, count: Count) => Promise<void>,
  ): Promise<ChangeOutcome> =>
    writing(async () => {
      const count = createCount(run);
      const { letters, close } = await open({ signal: run.signal, onRead: count.onRead });
      try {
        if (letters.exists) await work(letters, count);
      } finally {
        await close();
      }
      return count.outcome;
    });

  return {
    /** A page of the newest letters. While the topic does not change, the next page is not read from it again. */
    list: ({ filter, state, limit, after }: ListQuery, { signal }: Run): Promise<Page> =>
      reading(async () => {
        const { letters, close } = await open({ signal, newest: settings.maxListed ?? maxListed });
        try {
          const key = JSON.stringify([state, filterKey(filter), letters.ranges]);
          const isHeld = last?.key === key && performance.now() - last.at < maxListingAgeMs;
          const held = isHeld && last ? pageOf(last.listing, { limit, after }) : undefined;
          if (held) return held;
          const listing = await browse(select(letters, filter), { state, after, older: letters.older });
          last = { key, at: performance.now(), listing };
          return pageOf(listing, { limit, after }) as Page;
        } finally {
          await close();
        }
      }),

    /** Undefined if there is no such letter. */
    show: ({ partition, offset }: { partition: number; offset: bigint }, { signal }: Run) =>
      reading(async (): Promise<Detail | undefined> => {
        const { letters, close } = await open({ signal });
        const letter = await letters.at(partition, offset).finally(close);
        return letter && toDetail(letter, parser);
      }),

    check: async (value: string): Promise<Check> => checkValue(new TextEncoder().encode(value), parser),

    redrive: ({ filter, fix, value, isDry }: RedriveOrder, run: Run): Promise<ChangeOutcome> =>
      change(run, (letters, count) =>
        client.redrive(select(letters, filter), {
          parser,
          fix,
          replacement: value === undefined ? undefined : Buffer.from(value),
          isDry,
          async report(outcomes) {
            for (const { letter, reason } of outcomes) if (reason !== undefined) count.skip(letter, reason);
            count.done(outcomes.filter(({ reason }) => reason === undefined).length);
          },
        }),
      ),

    discard: ({ filter, undo, isDry }: DiscardOrder, run: Run): Promise<ChangeOutcome> =>
      change(run, (letters, count) =>
        client.discard(select(letters, filter), {
          undo,
          isDry,
          report: async (found) => count.done(found.length),
        }),
      ),
  };
};

export type LetterOperations = ReturnType<typeof createLetterOperations>;

/** Times to the minute: `1h` ago is another time for each page. */
const filterKey = ({ stage, reason, field, uid, since, until }: Filter) => {
  const minute = (ms: number | undefined) => (ms === undefined ? null : Math.floor(ms / 60_000));
  return [stage ?? null, reason ?? null, field ?? null, uid ?? null, minute(since), minute(until)];
};

/** The letters that match. For a single one only the rest of its partition is read. */
async function* select(letters: Letters, filter: Filter): AsyncGenerator<Letter[]> {
  const [address, ...others] = filter.letters ?? [];
  const place = address === undefined || others.length > 0 ? undefined : parseLetterAddress(address);
  if (!place) return yield* letters.matching(filter);
  const letter = await letters.at(place.partition, place.offset);
  if (letter && matches(letter, filter)) yield [letter];
}
