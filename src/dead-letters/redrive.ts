import type { IHeaders, Kafka, Message } from 'kafkajs';
import { header, reasonPrefix, unreadableBatch } from '../kafka/headers.ts';
import type { RetryKafka } from '../kafka/retry.ts';
import { createSender } from '../kafka/sender.ts';
import { errorText } from '../observability/error-text.ts';
import type { OrderParser } from '../order/parser.ts';
import { applyFix, type Fix } from './fix.ts';
import { type Letter, letterAddress } from './letter.ts';
import { createMarker } from './marker.ts';

/** The result for a letter: redriven, or skipped for this reason. */
export type LetterOutcome = { letter: Letter; reason?: string };

type Skipped = { letter: Letter; reason: string };

/** A letter and the message to send. */
type Ready = { letter: Letter; key: Buffer | null; value: Buffer | null };

type Options = {
  parser: OrderParser;
  /** The topic to send to, and the source topic of the letters unless `from` is set. */
  topic: string;
  /** The source topic to accept instead of `topic`. */
  from?: string | undefined;
  fix?: Fix | undefined;
  /** The value to send instead of each letter's own. */
  replacement?: Buffer | undefined;
  /** Also send values that are not valid orders. */
  unchecked?: boolean | undefined;
  /** Maximum number of letters to send. */
  limit?: number | undefined;
  /** Resolves when messages and marks are acknowledged, with the letters that could not be sent and the reasons. */
  send: (ready: Ready[]) => Promise<Map<Letter, string>>;
  /** Called after each batch with the outcome of its letters. */
  report: (outcomes: LetterOutcome[]) => Promise<void>;
};

/**
 * Sends the messages of letters again, with their original key, value and headers, but without the headers of the dead letter. Each
 * batch is sent, marked and reported before the next is read; `marks.ts` explains what an interruption does.
 * Letters with a mark, as sent again or as discarded, are ignored.
 */
export const redrive = async (
  letters: AsyncIterable<Letter[]>,
  { parser, topic, from = topic, fix, replacement, unchecked = false, limit, send, report }: Options,
): Promise<void> => {
  const prepare = (letter: Letter): Ready | Skipped => {
    if (letter.from && letter.from.topic !== from)
      return {
        letter,
        reason: `it came from the topic ${letter.from.topic}: use --from ${letter.from.topic}`,
      };
    if (letter.error === unreadableBatch)
      return { letter, reason: 'it holds no message: its batch could not be decoded' };
    const { key, value } = letter;
    const patched = fix ? applyFix(value, fix) : { fixed: replacement ?? value };
    const isChanged = fix !== undefined || replacement !== undefined;
    if ('reason' in patched) return { letter, reason: patched.reason };
    const parsed = parser.parse(patched.fixed);
    if ('order' in parsed) {
      // The change may be of the uid, which is the key.
      const orderKey = isChanged ? Buffer.from(parsed.order.order_uid) : key;
      return { letter, key: orderKey, value: patched.fixed };
    }
    if (unchecked) return { letter, key, value: patched.fixed };
    return { letter, reason: `it is ${isChanged ? 'still ' : ''}not a valid order: ${parsed.reason}` };
  };

  /** A letter with unexpected content must not stop the redrive of the others. */
  const prepareSafely = (letter: Letter): Ready | Skipped => {
    try {
      return prepare(letter);
    } catch (error) {
      return { letter, reason: `it cannot be read: ${errorText(error)}` };
    }
  };

  let remaining = limit ?? Number.POSITIVE_INFINITY;
  for await (const batch of letters) {
    const ready: Ready[] = [];
    const outcomes: LetterOutcome[] = [];
    for (const letter of batch) {
      if (letter.isRedriven || letter.isDiscarded || ready.length >= remaining) continue;
      const prepared = prepareSafely(letter);
      if ('reason' in prepared) outcomes.push(prepared);
      else ready.push(prepared);
    }
    const unsendable = ready.length > 0 ? await send(ready) : new Map<Letter, string>();
    for (const { letter } of ready) {
      const reason = unsendable.get(letter);
      outcomes.push(reason === undefined ? { letter } : { letter, reason });
      if (reason === undefined) remaining -= 1;
    }
    await report(outcomes);
    if (remaining <= 0) return;
  }
};

/** Sends the messages of a redrive and marks their letters. Call `connect` first. */
export const createRedriver = ({
  kafka,
  topic,
  deadLetterTopic,
  retryKafka,
}: {
  kafka: Kafka;
  topic: string;
  deadLetterTopic: string;
  retryKafka: RetryKafka;
}) => {
  let unsendable = new Map<Letter, string>();
  const orders = createSender<Ready>({
    kafka,
    topic,
    toMessage,
    async onTooLarge({ letter }, bytes) {
      unsendable.set(letter, `its message of about ${bytes} bytes is too large for the topic ${topic}`);
      return false;
    },
  });
  const marker = createMarker({ kafka, topic: deadLetterTopic, retryKafka });

  /** kafkajs may fail to encode a message. Then each is sent alone, so that only that one is skipped. */
  const sendOrders = async (ready: readonly Ready[]): Promise<void> => {
    try {
      await retryKafka(() => orders.send(ready));
    } catch (error) {
      const [first] = ready;
      if (!first || !isEncodingError(error)) throw error;
      if (ready.length === 1) unsendable.set(first.letter, `its message cannot be sent: ${errorText(error)}`);
      else for (const one of ready) await sendOrders([one]);
    }
  };

  return {
    connect: () => Promise.all([retryKafka(() => orders.connect()), marker.connect()]),
    disconnect: () => Promise.all([orders.disconnect(), marker.disconnect()]),
    /** Sends and marks letters of one partition. Resolves with those that could not be sent, and the reasons. */
    async send(ready: readonly Ready[]): Promise<Map<Letter, string>> {
      unsendable = new Map();
      await sendOrders(ready);
      const sent = ready.flatMap(({ letter }) => (unsendable.has(letter) ? [] : [letter]));
      await marker.mark('redriven', sent);
      return unsendable;
    },
  };
};

const isEncodingError = (error: unknown): boolean =>
  error instanceof TypeError ||
  error instanceof RangeError ||
  error instanceof SyntaxError ||
  (error instanceof Error && error.cause !== undefined && isEncodingError(error.cause));

const toMessage = ({ letter, key, value }: Ready): Message => {
  const original = Object.entries(letter.headers).filter(([name]) => !name.startsWith(reasonPrefix));
  const headers = {
    ...Object.fromEntries(original),
    [header.redrives]: String(letter.redrives + 1),
    [header.letter]: letterAddress(letter),
    [header.firstTimestamp]: letter.timestamp,
  };
  return {
    key,
    value,
    headers: headers as IHeaders,
    // No timestamp, so that it is the time of sending: Kafka deletes a message that is older than its topic's retention, read or not.
    // The original partition, so that messages of a key stay together whatever partitioner their producer uses.
    ...(letter.from &&
      /^\d{1,9}$/.test(letter.from.partition) && { partition: Number(letter.from.partition) }),
  };
};
