/** Whatever happens to the bytes of a log: what is intact is served, nothing else is, and nothing hangs. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { openPartitionLog } from '../src/partition-log.ts';
import { directoryStorage } from '../src/storage.ts';
import { Reader, readRecordsBatch } from '../src/wire.ts';
import { batchOf, temporaryDirectory } from './support/broker.ts';

setDefaultTimeout(60_000);

const limits = () => ({ maxMessageBytes: 1e6, segmentBytes: 1000, retentionMs: -1, retentionBytes: -1 });
const openLog = (path: string) =>
  openPartitionLog({ storage: directoryStorage(path), limits, onDamage: () => {} });

/** Each message with the offset it is read at. */
const readAll = (log: ReturnType<typeof openLog>): Map<number, string> => {
  const read = new Map<number, string>();
  for (let offset = log.logStart; offset < log.nextOffset; ) {
    const reader = Reader.from(log.fetch(offset, 1e6, true));
    // Only where everything up to the end was lost.
    if (reader.remaining === 0) break;
    while (reader.remaining > 0) {
      const { records, firstOffset } = readRecordsBatch(reader);
      for (const record of records) {
        offset = Number(firstOffset) + record.offsetDelta;
        read.set(offset, String(record.value));
      }
    }
    offset++;
  }
  return read;
};

/** Flips a bit, or cuts the file, at a place given as a part of its length. */
const damage = fc.record({
  file: fc.nat(),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  bit: fc.integer({ min: 0, max: 7 }),
  cuts: fc.boolean(),
});
const batches = fc.array(fc.array(fc.string({ maxLength: 60 }), { minLength: 1, maxLength: 5 }), {
  minLength: 1,
  maxLength: 12,
});

test('flipped bits and cut files cost the batches that they hit, and no other', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'log');
  fc.assert(
    fc.property(batches, fc.array(damage, { minLength: 1, maxLength: 6 }), (values, damages) => {
      rmSync(path, { recursive: true, force: true });
      const log = openLog(path);
      /** Where each batch lies: file and range. */
      const places: { file: string; from: number; to: number; offset: number; values: string[] }[] = [];
      const sizes = new Map<string, number>();
      for (const batch of values) {
        const bytes = batchOf(batch);
        const offset = log.append(bytes);
        const file = readdirSync(path).sort().at(-1) as string;
        const from = sizes.get(file) ?? 0;
        sizes.set(file, from + bytes.length);
        places.push({ file, from, to: from + bytes.length, offset, values: batch });
      }
      log.close();

      const hit = new Set<(typeof places)[number]>();
      const files = [...sizes.keys()];
      for (const { file: number, at, bit, cuts } of damages) {
        const file = files[number % files.length] as string;
        const bytes = readFileSync(join(path, file));
        if (bytes.length === 0) continue;
        const position = Math.floor(at * bytes.length);
        if (cuts) writeFileSync(join(path, file), bytes.subarray(0, position));
        else {
          bytes[position] = (bytes[position] as number) ^ (1 << bit);
          writeFileSync(join(path, file), bytes);
        }
        for (const place of places)
          if (place.file === file && place.to > position && (cuts || place.from <= position)) hit.add(place);
      }

      const again = openLog(path);
      const served = readAll(again);
      const original = new Map(
        places.flatMap((place) => place.values.map((value, i) => [place.offset + i, value] as const)),
      );
      for (const [offset, value] of served)
        expect([offset, value]).toEqual([offset, original.get(offset) as string]);
      for (const place of places) {
        if (hit.has(place)) continue;
        place.values.forEach((value, i) => void expect(served.get(place.offset + i)).toBe(value));
      }
      // It goes on, and a second start finds nothing more to repair.
      const offset = again.append(batchOf(['new']));
      again.close();
      const repaired = openPartitionLog({
        storage: directoryStorage(path),
        limits,
        onDamage: () => expect.unreachable(),
      });
      expect(readAll(repaired).get(offset)).toBe('new');
      repaired.close();
    }),
    { numRuns: 60, endOnFailure: true },
  );
});

test('damage under a running log is never served, and never hangs', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'log');
  fc.assert(
    fc.property(batches, damage, (values, { file: number, at, bit, cuts }) => {
      rmSync(path, { recursive: true, force: true });
      const log = openLog(path);
      const original = new Map<number, string>();
      for (const batch of values) {
        const offset = log.append(batchOf(batch));
        batch.forEach((value, i) => void original.set(offset + i, value));
      }
      const files = readdirSync(path);
      const file = join(path, files[number % files.length] as string);
      const bytes = readFileSync(file);
      const position = Math.floor(at * bytes.length);
      bytes[position] = (bytes[position] as number) ^ (1 << bit);
      writeFileSync(file, cuts ? bytes.subarray(0, position) : bytes);
      for (let offset = 0; offset < log.nextOffset; offset++) {
        try {
          const reader = Reader.from(log.fetch(offset, 1e6, true));
          while (reader.remaining > 0) {
            const { records, firstOffset } = readRecordsBatch(reader);
            for (const { offsetDelta, value } of records)
              expect(String(value)).toBe(original.get(Number(firstOffset) + offsetDelta) as string);
          }
          log.findTime(offset);
        } catch (error) {
          expect(String(error)).toContain('is damaged at');
        }
      }
      log.close();
    }),
    { numRuns: 60, endOnFailure: true },
  );
});

test('a search by time ends at a length that leaves no room for the next batch', async () => {
  await using directory = await temporaryDirectory();
  const log = openLog(directory.path);
  for (const timestamp of [1000n, 2000n, 3000n, 4000n]) log.append(batchOf(['x'], { timestamp }));
  const file = join(directory.path, readdirSync(directory.path)[0] as string);
  const bytes = readFileSync(file);
  const size = bytes.length / 4;
  // The third batch claims all but 30 bytes of the fourth.
  bytes.writeInt32BE(2 * size - 30 - 12, 2 * size + 8);
  writeFileSync(file, bytes);
  expect(() => log.findTime(3500)).toThrow('is damaged at');
  expect(log.findTime(1500)).toEqual({ offset: 1, timestamp: 2000 });
  log.close();
});
