import type { Message } from './messages.ts';

/** Time between two updates. */
const terminalIntervalMs = 500;
const pipeIntervalMs = 10_000;
/** The rate shown is of this period, a little longer than the longest interval. */
const rateWindowMs = 10_500;
/** Silence of Kafka after which it is reported as unavailable. */
const reportAfterMs = 2_000;

/**
 * Progress on standard output: on a terminal one line that is overwritten, elsewhere a line every 10 s. `noun` names what is sent,
 * in the singular. `notYet` (before the start) or `unavailable` is printed at each outage of Kafka; with `quiet` nothing else is.
 */
export const createProgress = ({
  noun,
  notYet,
  unavailable,
  quiet,
}: {
  noun: string;
  notYet: string;
  unavailable: string;
  quiet: boolean;
}) => {
  const isTerminal = process.stdout.isTTY === true;
  let sent = 0;
  let bad = 0;
  let inFlight = 0;
  let startedAt: number | undefined;
  let timer: Timer | undefined;
  let samples: { at: number; sent: number }[] = [];

  const say = (line: string) => console.log(isTerminal ? `\r\x1b[K${line}` : line);
  const countOf = (count: number) => `${count} ${noun}${count === 1 ? '' : 's'}`;
  const sentSoFar = () => `${countOf(sent)}${bad > 0 ? ` (${bad} of them deliberately invalid)` : ''}`;
  const rateOf = (count: number, ms: number) => `${ms > 0 ? ((count * 1000) / ms).toFixed(1) : '0.0'}/s`;

  const show = () => {
    const now = performance.now();
    samples = [...samples.filter(({ at }) => at >= now - rateWindowMs), { at: now, sent }];
    const first = samples[0] as { at: number; sent: number };
    const line = `${sentSoFar()}, ${rateOf(sent - first.sent, now - first.at)}`;
    if (isTerminal) process.stdout.write(`\r\x1b[K${line}`);
    else say(`sent ${line}`);
  };

  /** Awaits `work` and reports an outage if it takes long. */
  const waitForKafka = async <T>(work: Promise<T>): Promise<T> => {
    let isReported = false;
    const timer = setTimeout(() => {
      isReported = true;
      say(startedAt === undefined ? notYet : unavailable);
    }, reportAfterMs);
    try {
      const result = await work;
      if (isReported) say('Kafka answers.');
      return result;
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    waitForKafka,
    /** Starts the clock, once connected. */
    start() {
      startedAt = performance.now();
      samples = [{ at: startedAt, sent: 0 }];
      if (!quiet) timer = setInterval(show, isTerminal ? terminalIntervalMs : pipeIntervalMs);
    },
    /** Counts a batch once `work`, its sending, is acknowledged. */
    async track(batch: Message[], work: Promise<unknown>) {
      inFlight = batch.length;
      await waitForKafka(work);
      inFlight = 0;
      sent += batch.length;
      bad += batch.filter((message) => message.bad).length;
    },
    stopping() {
      if (inFlight > 0)
        say(`Waiting for Kafka to acknowledge ${countOf(inFlight)}. Ctrl-C again gives them up.`);
    },
    finish() {
      clearInterval(timer);
      if (quiet) return;
      const took = startedAt === undefined ? 0 : performance.now() - startedAt;
      say(`sent ${sentSoFar()} in ${(took / 1000).toFixed(1)} s, ${rateOf(sent, took)}`);
    },
  };
};
