import { sleep } from '../async/retry.ts';
import { createSplitter, type Document } from './documents.ts';
import type { Message } from './messages.ts';

/** The path that stands for standard input. */
export const standardInput = '-';

/** How long reading may keep the event loop busy. */
const maxBusyMs = 20;

const gzipMagic = [0x1f, 0x8b];

/** The messages of a file, one for each JSON object in it, unchanged; also compressed by gzip. */
export const openFile = (path: string) => {
  const isStandardInput = path === standardInput;
  let read = 0;
  let fault: unknown;
  const size = isStandardInput ? Number.POSITIVE_INFINITY : Bun.file(path).size;

  async function* pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    let since = performance.now();
    const stream = isStandardInput ? Bun.stdin.stream() : Bun.file(path).stream();
    for await (const piece of stream as unknown as AsyncIterable<Uint8Array<ArrayBuffer>>) {
      read += piece.length;
      yield piece;
      // A file that is in memory is read without a wait, and neither timers nor signals would ever run.
      if (performance.now() - since < maxBusyMs) continue;
      await sleep(0);
      since = performance.now();
    }
  }

  /** Lists of the documents that arrived together. */
  async function* documents(): AsyncGenerator<Document[]> {
    read = 0;
    const splitter = createSplitter();
    let found: Document[] = [];
    try {
      for await (const piece of decompressed(pieces())) {
        found = [];
        for (const document of splitter.push(piece)) found.push(document);
        if (found.length > 0) yield found;
      }
      found = [];
      splitter.end();
    } catch (error) {
      fault = error;
      // What comes before the fault is sent.
      if (found.length > 0) yield found;
      throw error;
    }
  }

  return {
    isStandardInput,
    /** The error that ended reading, if one did. */
    fault: () => fault,
    /** The share of the file's bytes that was read so far, from 0 to 1. */
    shareRead: () => (size === 0 ? 1 : Math.min(1, read / size)),
    /**
     * Reads up to `count` documents and sends nothing. Resolves with their number. Rejects with an Error of one line for the first
     * fault, and with the reason of `signal` when that is aborted.
     */
    async check(count: number, signal: AbortSignal): Promise<number> {
      let checked = 0;
      for await (const found of documents()) {
        signal.throwIfAborted();
        checked += found.length;
        if (checked >= count) return count;
      }
      return checked;
    },
    /** Rejects with an Error of one line for the first fault. */
    async *messages(): AsyncGenerator<Message[]> {
      for await (const found of documents()) yield found.map(toMessage);
    },
  };
};

const toMessage = ({ line, bytes, value }: Document): Message => ({
  key: typeof value.order_uid === 'string' ? value.order_uid : null,
  value: bytes,
  bad: false,
  line,
});

/** What is compressed by gzip is recognized by its first two bytes. */
async function* decompressed(
  pieces: AsyncGenerator<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let start: Uint8Array<ArrayBuffer> = new Uint8Array();
  while (start.length < gzipMagic.length) {
    const { value, done } = await pieces.next();
    if (done) break;
    start = new Uint8Array(Buffer.concat([start, value]));
  }
  async function* all() {
    yield start;
    yield* pieces;
  }
  if (!gzipMagic.every((byte, at) => start[at] === byte)) return yield* all();
  const compressed = all();
  let taken = 0;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { value, done } = await compressed.next();
      if (done) controller.close();
      else {
        taken += value.length;
        controller.enqueue(value);
      }
    },
  }).pipeThrough(new DecompressionStream('gzip'));
  try {
    for await (const piece of stream as unknown as AsyncIterable<Uint8Array<ArrayBuffer>>) yield piece;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new Error(
      `it cannot be decompressed by gzip: ${error.message} in the first ${taken} bytes; it is damaged or cut, or other bytes follow its end`,
    );
  }
}
