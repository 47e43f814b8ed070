import type { Log } from '../observability/log.ts';
import { createServiceState } from '../observability/service-state.ts';
import type { OrderUid } from '../order/order.ts';
import { openDatabase } from '../postgres/pool.ts';
import { createStore, type Store } from '../postgres/store.ts';
import { createCircuitBreaker } from './circuit-breaker.ts';

/** The primary has to answer within the rest of the lookup's time. */
const timeoutMs = 500;

type Reads = Pick<Store, 'find' | 'findAll' | 'findOtherCases' | 'ping'>;
type Standby = Reads & Pick<Store, 'latestErasure'>;
type Options = { primary: Reads; standby: Standby; log: Log };

/**
 * Finds orders on a standby, and on the primary those that the standby does not have, or not yet. While the standby is away or
 * slow its circuit opens, and the primary answers.
 */
export const createStandbyReads = ({ primary, standby, log }: Options) => {
  const state = createServiceState('PostgreSQL standby', log, {
    probe: () => breaker.call(standby.ping),
  });
  const breaker = createCircuitBreaker({ timeoutMs, onOpen: state.markDown, onSuccess: state.markUp });
  const counts = { found: 0, absent: 0 };
  /** The last erasure, while the standby may not have it yet. */
  let awaited: bigint | undefined;
  // Otherwise a standby that is away would count as up until the first lookup.
  standby.ping().then(state.markUp, state.markDown);

  return {
    /** As the store's. Rejects with the primary's error. */
    async find(uid: OrderUid): Promise<string | undefined> {
      if (awaited !== undefined) return primary.find(uid);
      const found = await breaker.call(
        () => standby.find(uid),
        (json) => {
          counts[json === undefined ? 'absent' : 'found']++;
          return json;
        },
      );
      return found ?? primary.find(uid);
    },
    /** As the store's. Rejects with the primary's error. */
    async findAll(uids: readonly OrderUid[]): Promise<Map<OrderUid, string>> {
      if (awaited !== undefined) return primary.findAll(uids);
      const found = await breaker.call(
        () => standby.findAll(uids),
        (documents) => {
          counts.found += documents.size;
          counts.absent += uids.length - documents.size;
          return documents;
        },
      );
      const missing = uids.filter((uid) => !found?.has(uid));
      if (missing.length === 0) return found ?? new Map();
      return new Map([...(found ?? []), ...(await primary.findAll(missing))]);
    },
    /** On the primary, as all numbers that the standby does not have. */
    findOtherCases: primary.findOtherCases,
    /** Until the standby has the erasure of this number, the primary answers. */
    onErasure(latest: bigint) {
      awaited = latest;
    },
    /** Asks the standby whether it has the last erasure. */
    async catchUp(): Promise<void> {
      if (awaited === undefined) return;
      const reached = await breaker.call(standby.latestErasure);
      if (reached !== undefined && reached >= awaited) awaited = undefined;
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
