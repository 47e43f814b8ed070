import type { Kafka } from 'kafkajs';
import { escapeLine, shortened } from '../cli/escape-text.ts';
import type { RetryKafka } from '../kafka/retry.ts';
import { discard } from './discard.ts';
import type { Letter } from './letter.ts';
import { openLetters } from './letters.ts';
import { createMarker } from './marker.ts';
import { createReader } from './reader.ts';
import { createRedriver, redrive } from './redrive.ts';

type Options = { kafka: Kafka; retryKafka: RetryKafka; topic: string; deadLetterTopic: string };

type Reading = Omit<Parameters<typeof openLetters>[0], 'reader' | 'topic'>;
type Redrive = Omit<Parameters<typeof redrive>[1], 'topic' | 'send'> & { isDry: boolean };
type Discard = Omit<Parameters<typeof discard>[1], 'mark'> & { isDry: boolean };

/**
 * Reads letters from Kafka and changes them, for the command line and the console. Each call has connections of its own. A dry run
 * reports what would be done, and opens none.
 */
export const createLetterClient = ({ kafka, retryKafka, topic, deadLetterTopic }: Options) => ({
  /** Opens the dead-letter topic. `close` ends the connections. */
  async open(reading: Reading) {
    const reader = createReader(kafka, retryKafka);
    try {
      await reader.connect();
      const letters = await openLetters({ reader, topic: deadLetterTopic, ...reading });
      return { letters, offsetRanges: reader.offsetRanges, close: reader.close };
    } catch (error) {
      await reader.close();
      throw error;
    }
  },

  /** Redrives letters to `topic`. */
  async redrive(letters: AsyncIterable<Letter[]>, { isDry, ...options }: Redrive): Promise<void> {
    if (isDry) return redrive(letters, { ...options, topic, send: async () => new Map() });
    const redriver = createRedriver({ kafka, topic, deadLetterTopic, retryKafka });
    try {
      await redriver.connect();
      await redrive(letters, { ...options, topic, send: redriver.send });
    } finally {
      await redriver.disconnect();
    }
  },

  /** Discards letters, or takes that back. */
  async discard(letters: AsyncIterable<Letter[]>, { isDry, ...options }: Discard): Promise<void> {
    if (isDry) return discard(letters, { ...options, mark: async () => {} });
    const marker = createMarker({ kafka, topic: deadLetterTopic, retryKafka });
    try {
      await marker.connect();
      await discard(letters, {
        ...options,
        mark: (found) => marker.mark(options.undo ? 'restored' : 'discarded', found),
      });
    } finally {
      await marker.disconnect();
    }
  },
});

const maxReasonLength = 1_000;

/** Why a letter was skipped, for a person: escaped, on one line, and cut. */
export const shownReason = (reason: string): string => shortened(escapeLine(reason), maxReasonLength);
