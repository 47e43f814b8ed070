import type { Letter } from './letter.ts';
import type { OffsetRange } from './reader.ts';

/** What the data of a person is found by; one is enough. */
type Person = {
  phone?: string | undefined;
  email?: string | undefined;
  customer?: string | undefined;
};

/**
 * Whether the letter holds data of the person: the email address in either case, the digits of the phone number whatever is between
 * them, or the customer_id as a whole text or number, anywhere in key, value and headers, which a redrive sends on. A letter need not be
 * an order, or JSON, so rather too many are found. Takes time in proportion to the size of the letter.
 */
export const hasDataOf = (letter: Pick<Letter, 'key' | 'value' | 'headers'>, person: Person): boolean => {
  const { phone, email, customer } = person;
  return partsOf(letter)
    .flatMap(readings)
    .some(
      (text) =>
        (email !== undefined && text.includes(email.toLowerCase())) ||
        (phone !== undefined && hasPhone(text, phone)) ||
        (customer !== undefined && hasWhole(text, customer.toLowerCase())),
    );
};

const partsOf = ({ key, value, headers }: Pick<Letter, 'key' | 'value' | 'headers'>): string[] =>
  [key, value, ...Object.entries(headers).flat(2)].flatMap((part) => (part ? [String(part)] : []));

/** The text as it is, with its escapes decoded, and with those of JSON in a text of JSON decoded, too; in lower case. */
const readings = (text: string): string[] => {
  const once = unescaped(text);
  return [...new Set([text, once, unescaped(once)])].map((one) => one.toLowerCase());
};

const escapes: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** Without the escapes of JSON, such as \u0040, also where the text is no JSON, or has a name twice, of which a parser drops one. */
const unescaped = (text: string): string =>
  text.includes('\\')
    ? text.replace(/\\(?:u([\da-f]{4})|([^u]))/gi, (_, code?: string, one = '') =>
        code === undefined ? (escapes[one] ?? one) : String.fromCharCode(Number.parseInt(code, 16)),
      )
    : text;

/** Within Russia a number is written with 8 in place of +7. */
const hasPhone = (text: string, phone: string): boolean => {
  const digits = text.replace(/\D+/g, '');
  const inland = /^\+7(\d{10})$/.exec(phone)?.[1];
  return digits.includes(phone.slice(1)) || (inland !== undefined && digits.includes(`8${inland}`));
};

/** What is before and after a text or number of JSON. At the ends of a cut one there is nothing. */
const before = ['', '"', ':', ',', '['];
const after = ['', '"', ',', '}', ']'];
const singleSpaced = (text: string) => text.replace(/\s+/g, ' ').trim();

/** Whether a text or number in JSON is `word`, but for spaces around it. */
const hasWhole = (text: string, word: string): boolean => {
  // So that at most one space is around the word, and the time does not grow with the spaces.
  const spaced = singleSpaced(text);
  const wanted = singleSpaced(word);
  if (wanted === '') return text.includes(`"${word}"`);
  for (let at = spaced.indexOf(wanted); at >= 0; at = spaced.indexOf(wanted, at + 1)) {
    const end = at + wanted.length;
    const previous = spaced[at - 1] === ' ' ? spaced[at - 2] : spaced[at - 1];
    const next = spaced[end] === ' ' ? spaced[end + 1] : spaced[end];
    if (before.includes(previous ?? '') && after.includes(next ?? '')) return true;
  }
  return false;
};

/** Keeps the letters of a person, discarded ones as well, and the last offset of them by partition. */
export const createFinder = (person: Person) => {
  const last = new Map<number, bigint>();
  return {
    last,
    async *find(letters: AsyncIterable<Letter[]>): AsyncGenerator<Letter[]> {
      for await (const batch of letters) {
        const found = batch.filter((letter) => hasDataOf(letter, person));
        for (const { partition, offset } of found) last.set(partition, BigInt(offset));
        if (found.length > 0) yield found.map((letter) => ({ ...letter, isDiscarded: false }));
      }
    },
  };
};

/** What Kafka offers to delete the letters, as lines. `ranges`: the offsets that the topic has. */
export const deletionAdvice = (
  topic: string,
  brokers: string,
  last: ReadonlyMap<number, bigint>,
  ranges: readonly OffsetRange[],
): string[] => {
  if (last.size === 0) return [];
  const partitions = [...last].map(([partition, offset]) => ({
    topic,
    partition,
    offset: Number(offset) + 1,
  }));
  const deleted = ranges.reduce((sum, { partition, from }) => {
    const offset = last.get(partition);
    return offset === undefined ? sum : sum + Number(offset + 1n - from);
  }, 0);
  return [
    '',
    'Kafka deletes no single message. It deletes messages by age (DLQ_RETENTION_DAYS), or all of a partition before an offset. Redrive or discard',
    `what else is there first; then this deletes these letters and all that are older, at most ${deleted} ${deleted === 1 ? 'message' : 'messages'}:`,
    '',
    `  echo '${JSON.stringify({ version: 1, partitions })}' > offsets.json`,
    `  kafka-delete-records.sh --bootstrap-server ${brokers} --offset-json-file offsets.json`,
  ];
};
