import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { createBatchedReads } from '../../src/lookup/batched-reads.ts';

const turn = () => new Promise(setImmediate);

/** Reads whose commands are kept, and answered with the doubles of their keys. */
const openReads = () => {
  const commands: number[][] = [];
  const read = createBatchedReads<number, number>(async (keys) => {
    const sent = [...(await keys)];
    commands.push(sent);
    await turn();
    return sent.map((key) => key * 2);
  });
  return { commands, read };
};

test('reads that begin in one turn of the event loop are one command, also after a microtask; later ones are another', async () => {
  const { commands, read } = openReads();
  const first = [read(1), Promise.resolve().then(() => read(2)), read(3)];
  await turn();
  const second = read(4);
  expect(await Promise.all([...first, second])).toEqual([2, 4, 6, 8]);
  expect(commands).toEqual([[1, 3, 2], [4]]);
});

test('a command has 256 keys at most', async () => {
  const { commands, read } = openReads();
  const keys = Array.from({ length: 600 }, (_, key) => key);
  expect(await Promise.all(keys.map(read))).toEqual(keys.map((key) => key * 2));
  expect(commands.map(({ length }) => length)).toEqual([256, 256, 88]);
});

test('without an answer every read of the command is undefined, and the next command has its own', async () => {
  let count = 0;
  const read = createBatchedReads<number, number>(async (keys) => (count++ === 0 ? undefined : await keys));
  expect(await Promise.all([read(1), read(2)])).toEqual([undefined, undefined]);
  await turn();
  expect(await read(3)).toBe(3);
});

test('each read gets the value of its own key, whenever reads begin', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ key: fc.integer(), waits: fc.constantFrom('no', 'microtask', 'turn') }), {
        maxLength: 400,
      }),
      async (plan) => {
        const { commands, read } = openReads();
        const values: Promise<number | undefined>[] = [];
        for (const { key, waits } of plan) {
          if (waits === 'microtask') await null;
          if (waits === 'turn') await turn();
          values.push(read(key));
        }
        expect(await Promise.all(values)).toEqual(plan.map(({ key }) => key * 2));
        expect(commands.flat()).toEqual(plan.map(({ key }) => key));
      },
    ),
  );
});
