import type { Message } from './messages.ts';

/** How often the line on a terminal is renewed, and how often a line is written elsewhere, in ms. */
const onTerminal = 500;
const elsewhere = 10_000;
/** The rate shown is that of the last so many ms: more than pass between two lines. */
const rateWindow = 10_500;
/** Kafka may take so long, in ms, before it is said to be away. */
const patience = 2_000;

/**
 * Says on standard output how the sending goes: one line that is renewed on a terminal, a line now and then elsewhere.
 * `noun` is what is sent, one of it; `away` and `notYet` are said once each time Kafka does not answer, later on or at the start;
 * `quiet` leaves all else out.
 */
export const createProgress = ({
  noun,
  notYet,
  away,
  quiet,
}: {
  noun: string;
  notYet: string;
  away: string;
  quiet: boolean;
}) => {
  const terminal = process.stdout.isTTY === true;
  let sent = 0;
  let bad = 0;
  let inFlight = 0;
  let startedAt: number | undefined;
  let timer: Timer | undefined;
  let samples: { at: number; sent: number }[] = [];

  const say = (line: string) => console.log(terminal ? `\r\x1b[K${line}` : line);
  const many = (count: number) => `${count} ${noun}${count === 1 ? '' : 's'}`;
  const counted = () => `${many(sent)}${bad > 0 ? ` (${bad} of them bad on purpose)` : ''}`;
  const rateOf = (count: number, ms: number) => `${ms > 0 ? ((count * 1000) / ms).toFixed(1) : '0.0'}/s`;

  const show = () => {
    const now = performance.now();
    samples = [...samples.filter(({ at }) => at >= now - rateWindow), { at: now, sent }];
    const first = samples[0] as { at: number; sent: number };
    const line = `${counted()}, ${rateOf(sent - first.sent, now - first.at)}`;
    if (terminal) process.stdout.write(`\r\x1b[K${line}`);
    else say(`sent ${line}`);
  };

  /** Waits for Kafka, and says so if that takes long. */
  const patiently = async <T>(work: Promise<T>): Promise<T> => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      say(startedAt === undefined ? notYet : away);
    }, patience);
    try {
      const result = await work;
      if (late) say('Kafka answers.');
      return result;
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    patiently,
    /** Kafka is there: the time counts from now. */
    start() {
      startedAt = performance.now();
      samples = [{ at: startedAt, sent: 0 }];
      if (!quiet) timer = setInterval(show, terminal ? onTerminal : elsewhere);
    },
    /** Counts the messages of a batch once `work`, its sending, is done. */
    async track(batch: Message[], work: Promise<unknown>) {
      inFlight = batch.length;
      await patiently(work);
      inFlight = 0;
      sent += batch.length;
      bad += batch.filter((message) => message.bad).length;
    },
    stopping() {
      if (inFlight > 0)
        say(`Waiting for Kafka to acknowledge ${many(inFlight)}. Ctrl-C again gives them up.`);
    },
    finish() {
      clearInterval(timer);
      if (quiet) return;
      const took = startedAt === undefined ? 0 : performance.now() - startedAt;
      say(`sent ${counted()} in ${(took / 1000).toFixed(1)} s, ${rateOf(sent, took)}`);
    },
  };
};
