import type { Column } from '../../src/history/series.ts';
import type { Words } from './text.ts';

/** A plot of the overview: its series, and how their values are written. The script draws what the page's markup names. */
export type Plot = {
  name: keyof Words['plots'];
  unit: 'rate' | 'count' | 'share' | 'duration' | 'bytes';
  isLog?: boolean;
  series: { column: Column; label: keyof Words['seriesNames']; colour: string; isDashed?: boolean }[];
};

/** Custom properties of the style: memory, Redis, PostgreSQL. */
const first = '--accent';
const second = '--red';
const third = '--amber';

export const plots: Plot[] = [
  {
    name: 'durations',
    unit: 'duration',
    isLog: true,
    series: [
      { column: 'memoryMedian', label: 'memoryMedian', colour: first },
      { column: 'memoryP99', label: 'memoryP99', colour: first, isDashed: true },
      { column: 'redisMedian', label: 'redisMedian', colour: second },
      { column: 'redisP99', label: 'redisP99', colour: second, isDashed: true },
      { column: 'postgresMedian', label: 'postgresMedian', colour: third },
      { column: 'postgresP99', label: 'postgresP99', colour: third, isDashed: true },
    ],
  },
  {
    name: 'lookups',
    unit: 'rate',
    series: [
      { column: 'fromMemory', label: 'memory', colour: first },
      { column: 'fromRedis', label: 'redis', colour: second },
      { column: 'fromPostgres', label: 'postgres', colour: third },
    ],
  },
  { name: 'hits', unit: 'share', series: [{ column: 'hits', label: 'hits', colour: first }] },
  {
    name: 'stored',
    unit: 'rate',
    series: [
      { column: 'stored', label: 'stored', colour: first },
      { column: 'deadLetters', label: 'deadLetters', colour: second },
    ],
  },
  { name: 'lag', unit: 'count', series: [{ column: 'lag', label: 'lag', colour: first }] },
  { name: 'memory', unit: 'bytes', series: [{ column: 'memory', label: 'resident', colour: first }] },
];
