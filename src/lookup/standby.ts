import type { Log } from '../observability/log.ts';
import { createServiceState } from '../observability/service-state.ts';
import type { OrderUid } from '../order/order.ts';
import { openDatabase } from '../postgres/pool.ts';
import { createStore, type DatedDocument, type Store } from '../postgres/store.ts';
import { createCircuitBreaker } from './circuit-breaker.ts';

/** The primary has to answer within the rest of the lookup's time. */
const timeoutMs = 500;

type Reads = Pick<Store, 'find' | 'findAll' | 'findOtherCases' | 'ping'>;
type Standby = Pick<Store, 'findDated' | 'findAllDated' | 'ping'>;
type Options = { primary: Reads; standby: Standby; log: Log };

/**
 * Finds orders on a standby, and on the primary those that the standby does not have, or not yet. Each answer of the standby says which
 * erasure it had, as the next one may come from another server, behind one name or of several in the URL. While the standby is away or
 * slow its circuit opens, and the primary answers.
 */
export const createStandbyReads = ({ primary, standby, log }: Options) => {
  const state = createServiceState('PostgreSQL standby', log, {
    probe: () => breaker.call(standby.ping),
  });
  const breaker = createCircuitBreaker({ timeoutMs, onOpen: state.markDown, onSuccess: state.markUp });
  const counts = { found: 0, absent: 0 };
  /** The last erasure. An order that the standby has read before it does not count. */
  let latest = 0n;
  const isRecent = (dated: DatedDocument) => dated.latestErasure >= latest;
  // Otherwise a standby that is away would count as up until the first lookup.
  standby.ping().then(state.markUp, state.markDown);

  return {
    /** As the store's. Rejects with the primary's error. */
    async find(uid: OrderUid): Promise<string | undefined> {
      const found = await breaker.call(
        () => standby.findDated(uid),
        (dated) => {
          const isFound = dated !== undefined && isRecent(dated);
          counts[isFound ? 'found' : 'absent']++;
          return isFound ? dated.document : undefined;
        },
      );
      return found ?? primary.find(uid);
    },
    /** As the store's. Rejects with the primary's error. */
    async findAll(uids: readonly OrderUid[]): Promise<Map<OrderUid, string>> {
      const found = await breaker.call(
        () => standby.findAllDated(uids),
        (all) => {
          const recent = [...all].filter(([, dated]) => isRecent(dated));
          counts.found += recent.length;
          counts.absent += uids.length - recent.length;
          return new Map(recent.map(([uid, { document }]) => [uid, document]));
        },
      );
      const missing = uids.filter((uid) => !found?.has(uid));
      if (missing.length === 0) return found ?? new Map();
      return new Map([...(found ?? []), ...(await primary.findAll(missing))]);
    },
    /** On the primary, as all numbers that the standby does not have. */
    findOtherCases: primary.findOtherCases,
    /** From now on an order counts only from a server that has the erasure of this number. */
    onErasure(number: bigint) {
      latest = number;
    },
    /** Why the standby is down; undefined while it is up. */
    reason: state.reason,
    /** Lookups by the standby's answer, since the start. */
    counts: () => ({ ...counts, failed: breaker.failures() }),
    close: state.close,
  };
};

export type StandbyReads = ReturnType<typeof createStandbyReads>;

type Connection = { url: string; connections: number; primary: Reads; log: Log };

/** Connects to the standby at `url`, with a pool of `connections`. */
export const openStandby = ({ url, connections, primary, log }: Connection) => {
  const sql = openDatabase({
    url,
    connections,
    name: 'standby',
    silenceTimeoutSeconds: 5,
    severalServers: 'prefer-standby',
  });
  const reads = createStandbyReads({ primary, standby: createStore(sql), log });
  return {
    ...reads,
    async close() {
      reads.close();
      await sql.end({ timeout: 1 });
    },
  };
};
