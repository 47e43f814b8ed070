import { expect } from 'bun:test';
import { availableParallelism, loadavg } from 'node:os';

/** The result of a scenario: a row of the table. */
export type Row = {
  scenario: string;
  /** Orders that Kafka acknowledged and had to be stored. */
  sent: number;
  stored: number;
  lost: number;
  /** Messages that had to become dead letters, those that did, and letters beyond the first. */
  bad: number;
  letters: number;
  repeatedLetters: number;
  /** The longest time in which nothing was stored, in ms, and how late the test itself was in it. */
  longest: { ms: number; late: number };
  /** From the end of the stream until everything was stored and committed, in ms. */
  settledMs: number;
  /** Seconds for which /readyz reported each status, on average of the replicas. */
  seconds: Record<string, number>;
  reasons: string[];
  warnings: Record<string, number>;
};

export const rows: Row[] = [];

const inSeconds = (ms: number) => (ms / 1000).toFixed(1);

const toCells = (row: Row) => {
  const health = Object.entries(row.seconds).map(([status, s]) => `${status} ${s.toFixed(0)} s`);
  const letters = row.repeatedLetters > 0 ? `${row.letters} (+${row.repeatedLetters})` : row.letters;
  return [
    row.scenario,
    row.sent,
    row.stored,
    row.lost,
    `${letters} of ${row.bad}`,
    inSeconds(row.longest.ms),
    inSeconds(row.settledMs),
    [...health, ...row.reasons].join('; '),
  ];
};

/** Prints a row for each scenario that has settled, and what the program logged. */
export const printReport = () => {
  const head = [
    'scenario',
    'sent',
    'stored',
    'lost',
    'dead letters',
    'longest gap, s',
    'settled after, s',
    '/readyz',
  ];
  const lines = [head, head.map(() => '---'), ...rows.map(toCells)];
  console.log(lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n'));
  for (const { scenario, warnings } of rows) {
    for (const [text, count] of Object.entries(warnings)) console.log(`  ${scenario}: ${count} × ${text}`);
  }
};

/** Processes that want to run, for each processor, up to which times say something about the program. */
const busy = 8;

/**
 * Fails if something took longer than `limitMs`, plus what this process itself was late. On a machine that is busy with other
 * things it is only logged.
 */
export const expectWithin = ({ ms, late }: Row['longest'], limitMs: number) => {
  const load = (loadavg()[0] ?? 0) / availableParallelism();
  if (load > busy)
    console.warn(`not judged at a load of ${load.toFixed(1)}: ${ms} ms where ${limitMs} ms are allowed`);
  else expect(ms - 2 * late).toBeLessThan(limitMs);
};
