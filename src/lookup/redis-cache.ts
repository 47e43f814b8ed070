import { withTimeout } from '../async/timeouts.ts';
import type { Log } from '../observability/log.ts';
import { createServiceState } from '../observability/service-state.ts';
import { type EncodedOrder, encodeOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';
import { createBatchedReads } from './batched-reads.ts';
import type { OrderCache } from './cache.ts';
import { createCircuitBreaker } from './circuit-breaker.ts';
import { openRedis } from './redis-client.ts';
import { readRefusal } from './redis-refusal.ts';
import { documentsKey, queueKey } from './redis-script.ts';

/** Shortest time between two reconnects away from a replica; the new primary is found as late after its name has moved. */
const reconnectIntervalMs = 2_000;
/** The time limit of the commands that remove erased orders. No lookup waits for them. */
const removeTimeoutMs = 2_000;

type Options = {
  url: string;
  limit: number;
  log: Log;
  readTimeoutMs?: number;
  /** No lookup waits for an insert, and a warm-up sends a thousand of them at once. */
  insertTimeoutMs?: number;
};

export type RedisCache = ReturnType<typeof createRedisCache>;

/**
 * The tier that replicas share. It fails open: when Redis is down, slow or refuses, the lookup goes on without it, and after
 * three commands in a row that fail the circuit opens. Reads and inserts have a circuit each: a Redis that is full or read-only still
 * answers reads.
 */
export const createRedisCache = ({ url, limit, log, readTimeoutMs = 50, insertTimeoutMs = 900 }: Options) => {
  const redis = openRedis(url);
  const state = createServiceState('Redis', log, { probe: () => cache.size() });
  /** The error of a write that was refused as read-only, until connected to a primary. */
  let readOnly: unknown;
  let reconnectedAt = Number.NEGATIVE_INFINITY;
  let reconnectTimer: Timer | undefined;
  const onSuccess = () => {
    if (reads.isClosed() && inserts.isClosed() && !readOnly) state.markUp();
  };
  const breakerOptions = { onOpen: state.markDown, onSuccess };
  const reads = createCircuitBreaker({ timeoutMs: readTimeoutMs, ...breakerOptions });
  const inserts = createCircuitBreaker({ timeoutMs: insertTimeoutMs, ...breakerOptions });
  const counts = { hits: 0, misses: 0 };
  let onConnected = () => {};

  const isConnected = () => redis.status === 'ready';

  redis.on('error', async (error) => {
    const isCut = ['ECONNRESET', 'EPIPE'].includes((error as { code?: string }).code ?? '');
    const refusal = isCut ? await readRefusal(url) : undefined;
    // It may have connected meanwhile.
    if (isCut && isConnected()) return;
    state.markDown(refusal ?? error);
  });
  redis.on('ready', async () => {
    reads.close();
    if (readOnly) {
      const replication = await redis.info('replication').catch(() => 'unknown');
      if (/role:slave|unknown/.test(replication)) {
        // Not what reads failed with while it reconnected.
        state.markDown(readOnly);
        return findPrimary();
      }
    }
    readOnly = undefined;
    inserts.close();
    state.markUp();
    onConnected();
  });

  /** Reconnects, as the server's name may lead to the new primary by now. Until it does, reads go on, but for short gaps. */
  const findPrimary = () => {
    if (reconnectTimer) return;
    const waitMs = Math.max(0, reconnectedAt + reconnectIntervalMs - performance.now());
    reconnectTimer = setTimeout(() => {
      reconnectTimer = undefined;
      if (!isConnected()) return;
      reconnectedAt = performance.now();
      redis.disconnect(true);
    }, waitMs);
  };
  redis.connect().catch(() => {}); // Its error event reports the failure.

  const insert = async (uid: OrderUid, document: Buffer) => {
    try {
      return await redis.insertOrder(documentsKey, queueKey, uid, document, limit);
    } catch (error) {
      if (isReadOnly(error)) {
        readOnly = error;
        state.markDown(error);
        findPrimary();
      }
      throw error;
    }
  };

  const toDocument = (uid: OrderUid, json: Buffer | null) => {
    const isHit = json !== null && isDocumentOf(uid, json);
    counts[isHit ? 'hits' : 'misses']++;
    // A copy: ioredis returns a view of the whole chunk that was received, and a view keeps all of it in memory.
    return isHit ? encodeOrder(new Uint8Array(json)) : undefined;
  };

  const readAll = (given: readonly OrderUid[] | Promise<readonly OrderUid[]>) => {
    let uids: readonly OrderUid[] = [];
    return reads.call(
      async () => {
        uids = await given;
        return redis.hmgetBuffer(documentsKey, ...uids);
      },
      (values) => values.map((json, index) => toDocument(uids[index] as OrderUid, json)),
    );
  };
  const readBatched = createBatchedReads(readAll);

  const cache = {
    get(uid: OrderUid) {
      // While half-open, the others do not wait for the one that reads.
      return isConnected() && !reads.isOpen() ? readBatched(uid) : undefined;
    },
    async put(uid: OrderUid, { body }: EncodedOrder) {
      if (!isConnected() || readOnly) return;
      const document = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      await inserts.call(() => insert(uid, document));
    },
    size: async () => (isConnected() ? reads.call(() => redis.hlen(documentsKey)) : undefined),
  } satisfies OrderCache;

  return {
    ...cache,
    /** As `get` for each of these uids, in their order and one round trip; undefined while it is down. Never rejects. */
    async getAll(uids: readonly OrderUid[]): Promise<(EncodedOrder | undefined)[] | undefined> {
      return isConnected() ? readAll(uids) : undefined;
    },
    /**
     * In the order of insertion; none if the queue does not name every document, as all are dropped then. Undefined while it is
     * down. Rejects when Redis does not answer in time, or refuses.
     */
    async uids(): Promise<OrderUid[] | undefined> {
      if (!isConnected()) return undefined;
      // The check comes second: a queue that is lost before it is dropped by it, and one that is lost after it was listed.
      const [uids, count] = await withTimeout(
        removeTimeoutMs,
        Promise.all([redis.lrange(queueKey, 0, -1), redis.checkOrders(documentsKey, queueKey)]),
      );
      return count === 0 ? [] : uids;
    },
    /** Removes orders that were erased. Rejects when that failed, as these must not be answered. */
    async remove(uids: readonly OrderUid[]): Promise<void> {
      await withTimeout(removeTimeoutMs, redis.removeOrders(documentsKey, queueKey, ...uids));
    },
    /** Calls back each time it connects: the data may be gone. */
    onConnected(callback: () => void) {
      onConnected = callback;
    },
    /** Whether lookups skip Redis now. */
    isBypassed: () => !isConnected() || reads.isOpen(),
    /** Since the start. A failed read is no miss. */
    counts: () => ({ ...counts, failedReads: reads.failures(), failedInserts: inserts.failures() }),
    /** Why Redis is down; undefined while it is up. */
    reason: () => state.reason() ?? (isConnected() ? undefined : 'not connected'),
    close() {
      clearTimeout(reconnectTimer);
      state.close();
      redis.disconnect();
    },
  };
};

/** From Redis 7 on the message begins with READONLY, also from within a script; before, the script's error quotes it. */
const isReadOnly = (error: unknown) => /\bREADONLY\b/.test((error as Error).message);

/** Other programs may have written the value: it must at least begin as this order's JSON and end as an object. */
const isDocumentOf = (uid: OrderUid, json: Buffer) => {
  const beginning = `{"order_uid":${JSON.stringify(uid)},`;
  return json.toString('utf8', 0, Buffer.byteLength(beginning)) === beginning && json.at(-1) === 0x7d;
};
