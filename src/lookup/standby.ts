import type { Log } from '../observability/log.ts';
import { createServiceState } from '../observability/service-state.ts';
import type { OrderUid } from '../order/order.ts';
import type { Store } from '../postgres/store.ts';
import { createBreaker } from './circuit-breaker.ts';

/** A lookup waits no longer for the standby, in ms: the primary has to answer within the rest of the lookup's time. */
const answerWithin = 500;

type Reads = Pick<Store, 'find' | 'ping'>;
type Options = { primary: Reads; standby: Reads; log: Log };

/**
 * Finds orders on a standby. One that it does not have, or not yet, is asked at the primary, and so is every one while the
 * standby is away or slow: after three failures in a row it is bypassed for a cool-down.
 */
export const createStandbyReads = ({ primary, standby, log }: Options) => {
  const state = createServiceState('PostgreSQL standby', log, {
    probe: () => breaker.ask(standby.ping),
  });
  const breaker = createBreaker({ within: answerWithin, opened: state.markDown, answered: state.markUp });
  const counts = { found: 0, absent: 0 };
  // Or a standby that is away would be taken to work until the first lookup.
  standby.ping().then(state.markUp, state.markDown);

  return {
    /** As the store's. Rejects with what the primary's does. */
    async find(uid: OrderUid): Promise<string | undefined> {
      const found = await breaker.ask(
        () => standby.find(uid),
        (json) => {
          counts[json === undefined ? 'absent' : 'found']++;
          return json;
        },
      );
      return found ?? primary.find(uid);
    },
    /** Why the standby does not work; undefined while it does. */
    reason: state.reason,
    /** Lookups by what the standby said of them, since the start. */
    counts: () => ({ ...counts, failed: breaker.failures() }),
    close: state.close,
  };
};

export type StandbyReads = ReturnType<typeof createStandbyReads>;
