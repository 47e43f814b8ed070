import { afterEach, expect, jest, test } from 'bun:test';
import { createCommitState } from '../../src/ingest/commit-state.ts';
import { recordingLog } from '../support/recording-log.ts';

afterEach(() => void jest.useRealTimers());

const open = () => {
  jest.useFakeTimers();
  const { log, lines } = recordingLog();
  let changes = 0;
  const commits = createCommitState(log, () => changes++);
  const failFor = (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      commits.failed(Object.assign(new Error('not the coordinator'), { type: 'NOT_COORDINATOR_FOR_GROUP' }));
      jest.advanceTimersByTime(1_000);
    }
  };
  return {
    ...commits,
    logged: () => lines.map(({ level, text }) => `${level}: ${text}`),
    changes: () => changes,
    failFor,
  };
};

const warning = 'warn: offsets cannot be committed; trying again until they can';

test('commits that fail for 10 s are reported once, and so is the first that succeeds again', () => {
  const { failFor, succeeded, reason, failingSeconds, logged, changes } = open();
  failFor(10);
  expect(reason()).toBeUndefined();
  failFor(5);
  expect(logged()).toEqual([warning]);
  expect(reason()).toBe(
    'offsets cannot be committed: group coordinator not available (NOT_COORDINATOR_FOR_GROUP)',
  );
  expect(failingSeconds()).toBe(15);
  succeeded();
  expect(logged()).toEqual([warning, 'info: offsets are committed again']);
  expect([reason(), failingSeconds(), changes()]).toEqual([undefined, 0, 2]);
});

test('commits that fail for less than 10 s are not reported, however often', () => {
  const { failFor, succeeded, logged, changes } = open();
  for (let move = 0; move < 5; move++) {
    failFor(9);
    succeeded();
  }
  expect([logged(), changes()]).toEqual([[], 0]);
});

test('failures end when nothing is left to commit', () => {
  const { failFor, reason, failingSeconds, logged, changes } = open();
  failFor(12);
  jest.advanceTimersByTime(30_000);
  expect([reason(), failingSeconds(), changes()]).toEqual([undefined, 0, 2]);
  failFor(9);
  expect(logged()).toEqual([warning]);
});
