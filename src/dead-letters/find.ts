import type { Letter } from './letter.ts';
import type { OffsetRange } from './reader.ts';

/** What the data of a person is found by; one is enough. */
export type Person = {
  phone?: string | undefined;
  email?: string | undefined;
  customer?: string | undefined;
};

/**
 * Whether the letter holds data of the person: the email address in either case, the digits of the phone number however they are
 * grouped, or the customer_id, anywhere in key and value. A letter need not be an order, or JSON, so rather too many are found.
 */
export const hasDataOf = (
  { key, value }: Pick<Letter, 'key' | 'value'>,
  { phone, email, customer }: Person,
): boolean => {
  const text = `${key ?? ''}\n${value ?? ''}`;
  const texts = [text, unescaped(value) ?? ''].map((one) => one.toLowerCase());
  return (
    (email !== undefined && texts.some((one) => one.includes(email.toLowerCase()))) ||
    (phone !== undefined && texts.some((one) => one.replace(/[ ().-]/g, '').includes(phone.slice(1)))) ||
    (customer !== undefined && texts.some((one) => one.includes(JSON.stringify(customer).toLowerCase())))
  );
};

/** JSON without escapes such as \u0040. */
const unescaped = (value: Buffer | null): string | undefined => {
  try {
    return JSON.stringify(JSON.parse(String(value)));
  } catch {
    return undefined;
  }
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
    `what else is there first; then this deletes these letters and all that are older, at most ${deleted} messages:`,
    '',
    `  echo '${JSON.stringify({ version: 1, partitions })}' > offsets.json`,
    `  kafka-delete-records.sh --bootstrap-server ${brokers} --offset-json-file offsets.json`,
  ];
};
