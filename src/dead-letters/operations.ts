import pLimit from 'p-limit';
import { escapeLine, shortened } from '../cli/escape-text.ts';
import { createKafka, type KafkaAddress } from '../kafka/client.ts';
import { limitBatches } from '../kafka/record-batches.ts';
import { retryKafkaFor } from '../kafka/retry.ts';
import { createLog } from '../observability/log.ts';
import { createOrderParser } from '../order/parser.ts';
import type { OrderRules } from '../order/rules.ts';
import { browse, type LetterState, type Listing, maxListed, type Page, pageOf } from './browse.ts';
import { type Check, checkValue, type Detail, toDetail } from './detail.ts';
import { discard } from './discard.ts';
import { type Filter, matches } from './filter.ts';
import type { Fix } from './fix.ts';
import { addressOf, type Letter, parseAddress } from './letter.ts';
import { type Letters, openLetters } from './letters.ts';
import { createMarker } from './marker.ts';
import { createReader } from './reader.ts';
import { createRedriver, redrive } from './redrive.ts';

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
export type Outcome = Progress & { skippedLetters: Skipped[] };

export type ListQuery = {
  filter: Filter;
  state: LetterState | 'all';
  limit: number;
  after?: string | undefined;
};
export type RedriveOrder = {
  filter: Filter;
  fix?: Fix | undefined;
  value?: string | undefined;
  isDry: boolean;
};
export type DiscardOrder = { filter: Filter; undo: boolean; isDry: boolean };

type Run = { signal: AbortSignal; onProgress?: (progress: Progress) => void };

/** The time limit of one operation on Kafka. */
const timeoutMs = 10_000;
/** Skipped letters that an outcome lists. */
const maxSkipped = 200;
const maxReasonLength = 1_000;
/** A listing is used again for so long: for the next page. */
const maxListingAgeMs = 60_000;
/** Each reads the topic, through connections of its own. */
const concurrentReads = 3;

/**
 * What people do with dead letters, as plain data in and out. Each call connects to Kafka, reads the dead-letter topic, and
 * disconnects. Letters are changed by one call at a time. Rejects with an error of the code `kafkaUnavailable` while Kafka is down.
 */
export const createLetterOperations = ({ topic, deadLetterTopic, ...settings }: LetterSettings) => {
  limitBatches(settings.maxBatchBytes);
  const parser = createOrderParser(settings.rules);
  const retryKafka = retryKafkaFor(timeoutMs, String(settings.kafka.brokers));
  const reading = pLimit(concurrentReads);
  const writing = pLimit(1);

  const kafka = createKafka(settings.kafka, 'order-console', createLog('silent', 'console'));

  type Reading = { signal: AbortSignal; newest?: number; onRead?: (share: number) => void };
  const open = async ({ signal, newest, onRead }: Reading) => {
    const reader = createReader(kafka, retryKafka);
    try {
      await reader.connect();
      const letters = await openLetters({
        reader,
        topic: deadLetterTopic,
        ...(newest !== undefined && { newest }),
        signal,
        onRead: (read, total) => onRead?.(total === 0 ? 1 : Math.min(1, read / total)),
      });
      return { letters, close: () => reader.close() };
    } catch (error) {
      await reader.close();
      throw error;
    }
  };

  let last: { key: string; at: number; listing: Listing } | undefined;

  /** Counts the outcomes of a change, and reports them. */
  const createCount = ({ onProgress }: Run) => {
    const outcome: Outcome = { read: 0, done: 0, skipped: 0, skippedLetters: [] };
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
            letter: addressOf(letter),
            reason: shortened(escapeLine(reason), maxReasonLength),
          });
      },
    };
  };

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

    redrive: ({ filter, fix, value, isDry }: RedriveOrder, run: Run): Promise<Outcome> =>
      writing(async () => {
        const count = createCount(run);
        const { letters, close } = await open({ signal: run.signal, onRead: count.onRead });
        const redriver = createRedriver({ kafka, topic, deadLetterTopic, retryKafka });
        try {
          if (letters.exists && !isDry) await redriver.connect();
          await redrive(select(letters, filter), {
            parser,
            topic,
            from: undefined,
            fix,
            replacement: value === undefined ? undefined : Buffer.from(value),
            unchecked: false,
            limit: Number.POSITIVE_INFINITY,
            send: isDry ? async () => new Map<Letter, string>() : redriver.send,
            async report(outcomes) {
              for (const { letter, reason } of outcomes) if (reason !== undefined) count.skip(letter, reason);
              count.done(outcomes.filter(({ reason }) => reason === undefined).length);
            },
          });
        } finally {
          await Promise.all([redriver.disconnect(), close()]);
        }
        return count.outcome;
      }),

    discard: ({ filter, undo, isDry }: DiscardOrder, run: Run): Promise<Outcome> =>
      writing(async () => {
        const count = createCount(run);
        const { letters, close } = await open({ signal: run.signal, onRead: count.onRead });
        const marker = createMarker({ kafka, topic: deadLetterTopic, retryKafka });
        try {
          if (letters.exists && !isDry) await marker.connect();
          await discard(select(letters, filter), {
            undo,
            limit: Number.POSITIVE_INFINITY,
            mark: isDry ? async () => {} : (found) => marker.mark(undo ? 'restored' : 'discarded', found),
            report: async (found) => count.done(found.length),
          });
        } finally {
          await Promise.all([marker.disconnect(), close()]);
        }
        return count.outcome;
      }),
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
  const place = address === undefined || others.length > 0 ? undefined : parseAddress(address);
  if (!place) return yield* letters.matching(filter);
  const letter = await letters.at(place.partition, place.offset);
  if (letter && matches(letter, filter)) yield [letter];
}
