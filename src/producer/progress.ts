import { fitted } from '../cli/output.ts';
import type { Message } from './messages.ts';

/** Time between two updates. */
const terminalIntervalMs = 500;
const pipeIntervalMs = 10_000;
/** The rate shown is of this period, a little longer than the longest interval. */
const rateWindowMs = 10_500;
/** Silence of Kafka after which it is reported as unavailable. */
const reportAfterMs = 2_000;

/** `, 3 min left`, after `ms` for this share of the work; nothing while it cannot be estimated. */
const timeLeft = (share: number, ms: number) => {
  if (share <= 0 || ms < 1_000) return '';
  const seconds = (ms * (1 - share)) / share / 1_000;
  if (seconds < 90) return `, ${Math.ceil(seconds)} s left`;
  if (seconds < 5_400) return `, ${Math.round(seconds / 60)} min left`;
  return `, ${(seconds / 3_600).toFixed(1)} h left`;
};

/** `, 43 %, 3 min left` */
const shareDone = (share: number, ms: number) => `, ${Math.floor(share * 100)} %${timeLeft(share, ms)}`;

/**
 * Progress on standard output: on a terminal one line that is overwritten, elsewhere a line every 10 s. `noun` names what is sent,
 * in the singular. `notYet` (before the start) or `unavailable` is printed
 * at each outage of Kafka; with `quiet` nothing else is.
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
  let total: number | undefined;
  let inFlight = 0;
  let startedAt: number | undefined;
  let timer: Timer | undefined;
  let samples: { at: number; sent: number }[] = [];

  const say = (line: string) => console.log(isTerminal ? `\r\x1b[K${line}` : line);
  const countOf = (count: number, of = count) =>
    `${of === count ? '' : `${count} of `}${of} ${noun}${of === 1 ? '' : 's'}`;
  const sentSoFar = (of?: number) =>
    `${countOf(sent, of)}${bad > 0 ? ` (${bad} of them deliberately invalid)` : ''}`;
  const rateOf = (count: number, ms: number) => `${ms > 0 ? ((count * 1000) / ms).toFixed(1) : '0.0'}/s`;

  const print = (line: string, prefix = '') => {
    if (isTerminal) process.stdout.write(`\r\x1b[K${fitted(line, process.stdout.columns)}`);
    else say(`${prefix}${line}`);
  };
  const show = () => {
    const now = performance.now();
    samples = [...samples.filter(({ at }) => at >= now - rateWindowMs), { at: now, sent }];
    const first = samples[0] as { at: number; sent: number };
    const rate = rateOf(sent - first.sent, now - first.at);
    const done = !total ? '' : shareDone(sent / total, now - (startedAt ?? now));
    print(`${sentSoFar()}, ${rate}${done}`, 'sent ');
  };
  const interval = isTerminal ? terminalIntervalMs : pipeIntervalMs;

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
    /** Counts messages that are acknowledged. */
    sent: () => sent,
    /** One line on standard error, also if quiet. */
    report(line: string) {
      if (isTerminal) process.stdout.write('\r\x1b[K');
      console.error(line);
    },
    /** Shows how far `work` is, which reads `what` and sends nothing. */
    async whileChecking<T>(what: string, share: () => number, work: Promise<T>): Promise<T> {
      const since = performance.now();
      const showing = quiet
        ? undefined
        : setInterval(
            () => print(`checking ${what}${shareDone(share(), performance.now() - since)}`),
            interval,
          );
      return work.finally(() => clearInterval(showing));
    },
    /** Starts the clock, once connected. `count`: how many will be sent, if that is known. */
    start(count: number | undefined) {
      total = count;
      startedAt = performance.now();
      samples = [{ at: startedAt, sent: 0 }];
      if (!quiet) timer = setInterval(show, interval);
    },
    /** Counts a batch once `work`, its sending, is acknowledged. */
    async track(batch: Message[], work: Promise<unknown>) {
      inFlight = batch.length;
      await waitForKafka(work).finally(() => {
        inFlight = 0;
      });
      sent += batch.length;
      bad += batch.filter((message) => message.bad).length;
    },
    stopping() {
      if (inFlight > 0)
        say(`Waiting for Kafka to acknowledge ${countOf(inFlight)}. Ctrl-C again abandons them.`);
    },
    /** `stopped`: before the end, which `of` messages are, if that is known. */
    finish(stopped?: { of: number | undefined }) {
      clearInterval(timer);
      if (quiet) return;
      const took = startedAt === undefined ? 0 : performance.now() - startedAt;
      say(
        `${stopped ? 'stopped before the end: ' : ''}sent ${sentSoFar(stopped?.of)} in ${(took / 1000).toFixed(1)} s, ${rateOf(sent, took)}`,
      );
    },
  };
};
