import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory } from 'kafkajs';
import type { Log } from '../observability/log.ts';

const answerTimeoutMs = 3_000;
/**
 * A broker that did not answer counts as replaced when no client has connected to it for this time. It is forgotten then, unless it was
 * configured, as it may have moved.
 */
const downTimeoutMs = 15_000;

type Broker = {
  address: string;
  isConfigured: boolean;
  /** Connections since its last answer. */
  unanswered: number;
  /** Set while the broker does not answer. */
  downTimer: Timer | undefined;
};

/**
 * The brokers of a cluster: those that are configured, and those that Kafka has named since. All clients of a thread share one list,
 * so that a broker that hangs delays only one of them, and only once.
 */
export const createBrokers = (
  configured: readonly string[],
  log: Log,
  /** Called when `isDegraded` has changed. */
  changed: () => void = () => {},
) => {
  const brokers = new Map<string, Broker>();
  const entryOf = (address: string, isConfigured: boolean): Broker => {
    const broker = brokers.get(address) ?? { address, isConfigured, unanswered: 0, downTimer: undefined };
    brokers.set(address, broker);
    return broker;
  };
  for (const address of configured) entryOf(address, true);
  // At random, so that not all processes begin with the first one.
  let turn = Math.floor(Math.random() * brokers.size);

  const answered = (broker: Broker) => {
    broker.unanswered = 0;
    if (!broker.downTimer) return;
    clearTimeout(broker.downTimer);
    broker.downTimer = undefined;
    log.info({ broker: broker.address }, 'the Kafka broker answers again');
    changed();
  };
  const failed = (broker: Broker, reason: string) => {
    const isReported = broker.downTimer !== undefined;
    clearTimeout(broker.downTimer);
    broker.downTimer = setTimeout(() => {
      broker.downTimer = undefined;
      if (!broker.isConfigured) brokers.delete(broker.address);
      changed();
    }, downTimeoutMs);
    if (isReported) return;
    log.warn({ broker: broker.address, reason }, 'a Kafka broker does not answer');
    changed();
  };

  /** Connects as kafkajs's own socket factory does, and follows whether the broker answers. */
  const connect: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    const broker = entryOf(`${host}:${port}`, false);
    broker.unanswered++;
    const servername = net.isIP(host) ? {} : { servername: host };
    const socket = ssl
      ? tls.connect({ host, port, ...servername, ...ssl }, onConnect)
      : net.connect({ host, port }, onConnect);
    socket.setKeepAlive(true, 60_000);
    const timer = setTimeout(() => failed(broker, 'no answer in time'), answerTimeoutMs);
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
    /** The address to try next: in turn, of the brokers with the fewest unanswered connections. */
    next(): string {
      const all = [...brokers.values()];
      const least = Math.min(...all.map(({ unanswered }) => unanswered));
      const best = all.filter(({ unanswered }) => unanswered === least);
      return (best[turn++ % best.length] as Broker).address;
    },
    /** Whether a broker does not answer that clients still connect to. */
    isDegraded: () => [...brokers.values()].some(({ downTimer }) => downTimer !== undefined),
  };
};

export type Brokers = ReturnType<typeof createBrokers>;
