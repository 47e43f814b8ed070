import { escapeLine } from '../cli/escape-text.ts';

/** A JSON object of a file: its bytes, unchanged, and the line on which it begins. */
export type Document = { line: number; bytes: Buffer; value: Record<string, unknown> };

/** More than Kafka accepts. */
const maxDocumentBytes = 64 * 2 ** 20;
/** The length of text that an error quotes. */
const maxQuotedBytes = 40;

const byteOrderMark = Uint8Array.of(0xef, 0xbb, 0xbf);
const newline = 0x0a;
const quote = 0x22;
const comma = 0x2c;
const openList = 0x5b;
const backslash = 0x5c;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;
const isSpace = (byte: number) => byte === newline || byte === 0x20 || byte === 0x09 || byte === 0x0d;

/** What may come next between two documents. */
const wanted = {
  top: 'an order, as a JSON object, or a list of them',
  first: 'an order, as a JSON object, or the end of the list',
  after: '"," or the end of the list',
  next: 'an order, as a JSON object',
};

const utf8 = new TextDecoder('utf-8', { fatal: true });
const lenientUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Splits a file that arrives in pieces into JSON objects: one after another, on one line or several each, or in lists. It keeps
 * one document in memory. `push` and `end` throw an Error of one line that begins with the line of the file, such as `line 3: …`.
 */
export const createSplitter = () => {
  let isBegin = true;
  /** Bytes so far of a byte order mark. */
  let marked = 0;
  let line = 1;
  let place: keyof typeof wanted = 'top';
  /** The begin of a document that continues in the next piece. */
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let firstLine = 1;
  let depth = 0;
  let isInText = false;
  let isEscaped = false;

  const fail = (reason: string, from = line): never => {
    throw new Error(`${from === line ? `line ${line}` : `lines ${from} to ${line}`}: ${reason}`);
  };

  /** The index after the document's last byte; -1 if it goes on after this piece. */
  const endOfDocument = (piece: Uint8Array, start: number): number => {
    for (let at = start; at < piece.length; at++) {
      const byte = piece[at];
      if (byte === newline) line++;
      if (isInText) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) isInText = false;
      } else if (byte === quote) isInText = true;
      else if (byte === openObject || byte === openList) depth++;
      else if (byte === closeObject || byte === closeList) {
        depth--;
        if (depth === 0) return at + 1;
      }
    }
    return -1;
  };

  const keep = (part: Uint8Array) => {
    partBytes += part.length;
    if (partBytes > maxDocumentBytes) fail('the document has no end within 64 MiB', firstLine);
    parts.push(part);
  };

  const toDocument = (): Document => {
    const bytes = Buffer.concat(parts);
    parts = [];
    partBytes = 0;
    let text = '';
    try {
      text = utf8.decode(bytes);
    } catch {
      fail('the document is not UTF-8', firstLine);
    }
    try {
      return { line: firstLine, bytes, value: JSON.parse(text) };
    } catch (error) {
      return fail(
        `the document is not JSON: ${(error as Error).message.replace('JSON Parse error: ', '')}`,
        firstLine,
      );
    }
  };

  const refuse = (piece: Uint8Array, at: number) => {
    if (isBegin && at === 0 && (piece[0] === 0xff || piece[0] === 0xfe))
      fail('the file is not UTF-8; it seems to be UTF-16');
    const end = piece.indexOf(newline, at);
    const rest = piece.subarray(at, Math.min(at + maxQuotedBytes, end < 0 ? piece.length : end));
    const quoted = lenientUtf8.decode(Buffer.concat([byteOrderMark.subarray(0, marked), rest]));
    fail(`expected ${wanted[place]}, found ${escapeLine(JSON.stringify(quoted.trimEnd()))}`);
  };

  return {
    /** The documents that end in this piece. */
    *push(piece: Uint8Array): Generator<Document> {
      let at = 0;
      while (at < piece.length) {
        const byte = piece[at] as number;
        if (depth === 0) {
          // Not only at the begin: two files that are joined have one in the middle.
          if (place === 'top' && byte === byteOrderMark[marked]) {
            marked = (marked + 1) % byteOrderMark.length;
            at++;
          } else if (marked > 0) refuse(piece, at);
          else if (isSpace(byte)) {
            if (byte === newline) line++;
            at++;
          } else if (byte === openObject && place !== 'after') firstLine = line;
          else if (byte === openList && place === 'top') {
            place = 'first';
            at++;
          } else if (byte === closeList && (place === 'first' || place === 'after')) {
            place = 'top';
            at++;
          } else if (byte === comma && place === 'after') {
            place = 'next';
            at++;
          } else refuse(piece, at);
          if (byte !== openObject) continue;
        }
        const end = endOfDocument(piece, at);
        keep(piece.slice(at, end < 0 ? undefined : end));
        if (end < 0) break;
        yield toDocument();
        if (place !== 'top') place = 'after';
        at = end;
      }
      if (piece.length > 0) isBegin = false;
    },
    /** Call it after the last piece. */
    end() {
      if (marked > 0) fail('the file ends within a byte order mark');
      if (depth > 0) fail('the document has no end', firstLine);
      if (place !== 'top') fail('the list has no end');
    },
  };
};
