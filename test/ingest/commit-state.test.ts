import { afterEach, expect, jest, test } from 'bun:test';
import { createCommitState } from '../../src/ingest/commit-state.ts';

afterEach(() => void jest.useRealTimers());

const open = () => {
  jest.useFakeTimers();
  const lines: string[] = [];
  const line = (level: string) => (_: object, text: string) => lines.push(`${level}: ${text}`);
  let changes = 0;
  const commits = createCommitState({ warn: line('warn'), info: line('info') } as never, () => changes++);
  const failFor = (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      commits.failed(Object.assign(new Error('not the coordinator'), { type: 'NOT_COORDINATOR_FOR_GROUP' }));
      jest.advanceTimersByTime(1_000);
    }
  };
  return { ...commits, lines, changes: () => changes, failFor };
};

const warning = 'warn: offsets cannot be committed; trying again until they can';

test('commits that fail for 10 s are reported once, and so is the first that succeeds again', () => {
  const { failFor, succeeded, reason, failingSeconds, lines, changes } = open();
  failFor(10);
  expect(reason()).toBeUndefined();
  failFor(5);
  expect(lines).toEqual([warning]);
  expect(reason()).toBe(
    'offsets cannot be committed: group coordinator not available (NOT_COORDINATOR_FOR_GROUP)',
  );
  expect(failingSeconds()).toBe(15);
  succeeded();
  expect(lines).toEqual([warning, 'info: offsets are committed again']);
  expect([reason(), failingSeconds(), changes()]).toEqual([undefined, 0, 2]);
});

test('commits that fail for less than 10 s are not reported, however often', () => {
  const { failFor, succeeded, lines, changes } = open();
  for (let move = 0; move < 5; move++) {
    failFor(9);
    succeeded();
  }
  expect([lines, changes()]).toEqual([[], 0]);
});

test('failures end when nothing is left to commit', () => {
  const { failFor, reason, failingSeconds, lines, changes } = open();
  failFor(12);
  jest.advanceTimersByTime(30_000);
  expect([reason(), failingSeconds(), changes()]).toEqual([undefined, 0, 2]);
  failFor(9);
  expect(lines).toEqual([warning]);
});
