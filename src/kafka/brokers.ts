import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory } from 'kafkajs';
import type { Log } from '../observability/log.ts';

/** A connection that has brought no answer for so long counts as unanswered, in ms. */
const answerWithin = 3_000;
/**
 * A broker that does not answer and has not been tried for so long, in ms, is no trouble any more: Kafka has put others in
 * its place. One that was not configured is forgotten then, as it may have moved.
 */
const troubleFor = 15_000;

type Broker = {
  address: string;
  isConfigured: boolean;
  /** Connections since its last answer. */
  unanswered: number;
  /** Set while it is in trouble. */
  trouble: Timer | undefined;
};

/**
 * The brokers of a cluster: those that are configured, and those that the clients have met since, as Kafka named them. All
 * clients of a thread share what they know of them, so that a broker that has hung holds up one of them only, and only once.
 */
export const createBrokers = (
  configured: readonly string[],
  log: Log,
  /** Called when `isInTrouble` has changed. */
  changed: () => void = () => {},
) => {
  const brokers = new Map<string, Broker>();
  const entryOf = (address: string, isConfigured: boolean): Broker => {
    const broker = brokers.get(address) ?? { address, isConfigured, unanswered: 0, trouble: undefined };
    brokers.set(address, broker);
    return broker;
  };
  for (const address of configured) entryOf(address, true);
  // Not everybody at the first one.
  let turn = Math.floor(Math.random() * brokers.size);

  const answered = (broker: Broker) => {
    broker.unanswered = 0;
    if (!broker.trouble) return;
    clearTimeout(broker.trouble);
    broker.trouble = undefined;
    log.info({ broker: broker.address }, 'the Kafka broker answers again');
    changed();
  };
  const failed = (broker: Broker, reason: string) => {
    const isKnown = broker.trouble !== undefined;
    clearTimeout(broker.trouble);
    broker.trouble = setTimeout(() => {
      broker.trouble = undefined;
      if (!broker.isConfigured) brokers.delete(broker.address);
      changed();
    }, troubleFor);
    if (isKnown) return;
    log.warn({ broker: broker.address, reason }, 'a Kafka broker does not answer');
    changed();
  };

  /** Connects as kafkajs itself does, and sees who answers. */
  const connect: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    const broker = entryOf(`${host}:${port}`, false);
    broker.unanswered++;
    const servername = net.isIP(host) ? {} : { servername: host };
    const socket = ssl
      ? tls.connect({ host, port, ...servername, ...ssl }, onConnect)
      : net.connect({ host, port }, onConnect);
    socket.setKeepAlive(true, 60_000);
    const timer = setTimeout(() => failed(broker, 'no answer in time'), answerWithin);
    const end = (then: () => void) => {
      clearTimeout(timer);
      then();
    };
    socket.once('data', () => end(() => answered(broker)));
    socket.once('error', (error) => end(() => failed(broker, error.message)));
    socket.once('close', () => clearTimeout(timer));
    return socket;
  };

  return {
    connect,
    /** The address to try next: of those that answered when they were last asked, in turn; then the others. */
    next(): string {
      const all = [...brokers.values()];
      const least = Math.min(...all.map(({ unanswered }) => unanswered));
      const best = all.filter(({ unanswered }) => unanswered === least);
      return (best[turn++ % best.length] as Broker).address;
    },
    /** Whether a broker does not answer that is still asked. */
    isInTrouble: () => [...brokers.values()].some(({ trouble }) => trouble !== undefined),
  };
};

export type Brokers = ReturnType<typeof createBrokers>;
