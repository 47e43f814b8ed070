import { createReadStream } from 'node:fs';
import type { Order } from '../order/order.ts';
import { createBadMessageMaker } from './bad-message.ts';
import { createOrderMaker } from './fake-order.ts';

/** `bad`: deliberately not a valid order. */
export type Message = { key: string | null; value: Buffer | null; bad: boolean };

/** The date of seeded orders, so that a seed gives the same orders on any day. */
const seededTime = Date.UTC(2026, 0, 1, 12);

/** An endless stream of fake orders, of which the share `invalid` is bad. */
export function* madeMessages({
  seed,
  invalid = 0,
}: {
  seed?: number | undefined;
  invalid?: number | undefined;
}): Generator<Message> {
  const makeOrder = createOrderMaker({ seed, ...(seed !== undefined && { now: () => seededTime }) });
  const makeBad = createBadMessageMaker();
  let known: Order | undefined;
  for (let n = 1; ; n++) {
    const order = makeOrder();
    if (Math.floor(n * invalid) > Math.floor((n - 1) * invalid)) {
      yield { ...makeBad(order, known), bad: true };
    } else {
      known = order;
      yield { key: order.order_uid, value: Buffer.from(JSON.stringify(order)), bad: false };
    }
  }
}

/** More than Kafka accepts. */
const maxMessageBytes = 64 * 2 ** 20;
const newline = 0x0a;

/**
 * The lines of a file, or the whole file if it is one JSON document; bytes unchanged, blank lines omitted. Throws if a line is
 * longer than 64 MiB.
 */
export async function* fileMessages(path: string): AsyncGenerator<Message> {
  const file = Bun.file(path);
  if (file.size <= maxMessageBytes) {
    const whole = withoutLineEnds(Buffer.from(await file.arrayBuffer()));
    const document = parse(whole);
    if (document !== undefined) return yield { key: uidOf(document), value: whole, bad: false };
  }
  for await (const line of lines(createReadStream(path))) {
    if (!isBlank(line)) yield { key: uidOf(parse(line)), value: line, bad: false };
  }
}

async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > maxMessageBytes)
      throw new Error('a line is longer than 64 MiB, the limit of a message');
  }
  yield rest;
}

const withoutLineEnds = (bytes: Buffer) => {
  let end = bytes.length;
  while (bytes[end - 1] === newline) end -= 1;
  return bytes.subarray(0, end);
};

const isBlank = (line: Buffer) => line.toString('latin1').trim() === '';

const parse = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
};

const uidOf = (document: unknown) => {
  const uid = (document as { order_uid?: unknown } | null | undefined)?.order_uid;
  return typeof uid === 'string' ? uid : null;
};

/** The first `count` messages, or all. */
export async function* limited(
  messages: AsyncIterable<Message> | Iterable<Message>,
  count = Number.POSITIVE_INFINITY,
): AsyncGenerator<Message> {
  let remaining = count;
  for await (const message of messages) {
    yield message;
    remaining -= 1;
    if (remaining === 0) return;
  }
}
