import type { IHeaders, Kafka, Message } from 'kafkajs';
import { header, reasonPrefix, unreadableBatch } from '../kafka/headers.ts';
import type { RetryKafka } from '../kafka/retry.ts';
import { createSender } from '../kafka/sender.ts';
import { errorText } from '../observability/error-text.ts';
import { parseOrder } from '../order/order.ts';
import { applyFix, type Fix } from './fix.ts';
import { addressOf, type Letter } from './letter.ts';
import { toMarks } from './marks.ts';

/** What became of a letter: its message was sent again, or was not, for this reason. */
export type Outcome = { letter: Letter; reason?: string };

type Refused = { letter: Letter; reason: string };

/** A letter and the message that it becomes. */
type Ready = { letter: Letter; key: Buffer | null; value: Buffer | null };

type Options = {
  /** The topic that letters must have come from, and that their messages are sent to. */
  topic: string;
  /** Letters that came from here are taken as well. */
  from: string | undefined;
  fix: Fix | undefined;
  /** Sends what is no order, too. */
  unchecked: boolean;
  /** Sends so many at the most. */
  limit: number;
  /** Takes letters to where nothing can lose them, marks included. Those that it cannot send it returns, with reasons. */
  send: (ready: Ready[]) => Promise<Map<Letter, string>>;
  /** Is told of each letter once nothing more happens to it. */
  report: (outcomes: Outcome[]) => Promise<void>;
};

/**
 * Sends the messages of letters again: key, value, headers and time as they first came, without the headers that made
 * letters of them. Each batch is sent, then marked, then reported, then the next is read; see `marks.ts` for what that
 * makes of an end in between. Letters that are marked are left out.
 */
export const redrive = async (
  letters: AsyncIterable<Letter[]>,
  { topic, from, fix, unchecked, limit, send, report }: Options,
): Promise<void> => {
  const prepare = (letter: Letter): Ready | Refused => {
    if (letter.from && letter.from.topic !== (from ?? topic))
      return { letter, reason: `it came from the topic ${letter.from.topic}: --from ${letter.from.topic}` };
    if (letter.error === unreadableBatch)
      return { letter, reason: 'it holds no message: its batch could not be read' };
    const { key, value } = letter;
    const patched = fix ? applyFix(value, fix) : { fixed: value };
    if ('reason' in patched) return { letter, reason: patched.reason };
    const parsed = parseOrder(patched.fixed);
    if ('order' in parsed) {
      // The key of an order is its uid; only a fix can have changed that.
      const ownKey = fix ? Buffer.from(parsed.order.order_uid) : key;
      return { letter, key: ownKey, value: patched.fixed };
    }
    if (unchecked) return { letter, key, value: patched.fixed };
    return { letter, reason: `it is ${fix ? 'still ' : ''}no order: ${parsed.reason}` };
  };

  /** Whatever is in a letter is no reason to leave the others. */
  const prepareWhateverItIs = (letter: Letter): Ready | Refused => {
    try {
      return prepare(letter);
    } catch (error) {
      return { letter, reason: `it cannot be read: ${errorText(error)}` };
    }
  };

  let left = limit;
  for await (const batch of letters) {
    const ready: Ready[] = [];
    const outcomes: Outcome[] = [];
    for (const letter of batch) {
      if (letter.isRedriven || ready.length >= left) continue;
      const prepared = prepareWhateverItIs(letter);
      if ('reason' in prepared) outcomes.push(prepared);
      else ready.push(prepared);
    }
    const refused = ready.length > 0 ? await send(ready) : new Map<Letter, string>();
    for (const { letter } of ready) {
      const reason = refused.get(letter);
      outcomes.push(reason === undefined ? { letter } : { letter, reason });
      if (reason === undefined) left -= 1;
    }
    await report(outcomes);
    if (left <= 0) return;
  }
};

/** What sends a redrive's messages, and marks their letters. Must be connected first. */
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
  let refused = new Map<Letter, string>();
  const orders = createSender<Ready>({
    kafka,
    topic,
    toMessage,
    async onTooLarge({ letter }, bytes) {
      refused.set(letter, `its message of about ${bytes} bytes is too large for the topic ${topic}`);
      return false;
    },
  });
  const marks = createSender<Message>({
    kafka,
    topic: deadLetterTopic,
    toMessage: (message) => message,
    async onTooLarge(_, bytes) {
      throw new Error(
        `the topic ${deadLetterTopic} takes no message of ${bytes} bytes: raise its max.message.bytes`,
      );
    },
  });

  /** kafkajs may be unable to write a message down at all: that one is refused, and the others go. */
  const sendOrders = async (ready: readonly Ready[]): Promise<void> => {
    try {
      await retryKafka(() => orders.send(ready));
    } catch (error) {
      const [first] = ready;
      if (!first || !isFaultOfMessage(error)) throw error;
      if (ready.length === 1) refused.set(first.letter, `its message cannot be sent: ${errorText(error)}`);
      else for (const one of ready) await sendOrders([one]);
    }
  };

  return {
    connect: () => retryKafka(() => Promise.all([orders.connect(), marks.connect()])),
    disconnect: () => Promise.all([orders.disconnect(), marks.disconnect()]),
    /** Sends and marks; all letters are of one partition. Resolves with those that were not sent, and why. */
    async send(ready: readonly Ready[]): Promise<Map<Letter, string>> {
      refused = new Map();
      await sendOrders(ready);
      const sent = ready.flatMap(({ letter }) => (refused.has(letter) ? [] : [letter]));
      const messages = toMarks(sent);
      await retryKafka(() => marks.send(messages));
      return refused;
    },
  };
};

const isFaultOfMessage = (error: unknown): boolean =>
  error instanceof TypeError ||
  error instanceof RangeError ||
  error instanceof SyntaxError ||
  (error instanceof Error && error.cause !== undefined && isFaultOfMessage(error.cause));

const toMessage = ({ letter, key, value }: Ready): Message => {
  const own = Object.entries(letter.headers).filter(([name]) => !name.startsWith(reasonPrefix));
  const headers = {
    ...Object.fromEntries(own),
    [header.redrives]: String(letter.redrives + 1),
    [header.letter]: addressOf(letter),
  };
  return {
    key,
    value,
    headers: headers as IHeaders,
    timestamp: letter.timestamp,
    // Where it was, so that it stays in one partition with others of its key, whichever way their sender divides.
    ...(letter.from &&
      /^\d{1,9}$/.test(letter.from.partition) && { partition: Number(letter.from.partition) }),
  };
};
