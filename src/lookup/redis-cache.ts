import type { Log } from '../observability/log.ts';
import { createServiceState } from '../observability/service-state.ts';
import { type EncodedOrder, encodeOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';
import type { OrderCache } from './cache.ts';
import { createBreaker } from './circuit-breaker.ts';
import { openRedis } from './redis-client.ts';
import { refusalOf } from './redis-greeting.ts';

/** Both keys carry one hash tag, so that a Redis Cluster keeps them in one place, where a script may change both. */
const documentsKey = '{orders}:documents';
const queueKey = '{orders}:queue';

/**
 * Enters an order and lets the oldest leave, in one atomic step. The hash and the queue always have the same length; when
 * they have not, or are something else, somebody has been at them: then they are dropped, as the cache can only cost
 * time. An order never changes, so another value under its uid is not it, and is replaced where it is.
 * KEYS: documents, queue. ARGV: uid, document, limit. Returns 1 when the order has entered, 0 when it was in.
 */
const enterScript = `
local documents = redis.pcall('HLEN', KEYS[1])
local queue = redis.pcall('LLEN', KEYS[2])
if type(documents) == 'table' or type(queue) == 'table' or documents ~= queue then
  redis.call('UNLINK', KEYS[1], KEYS[2])
  documents = 0
end
local present = redis.call('HGET', KEYS[1], ARGV[1])
if present then
  if present ~= ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  end
  return 0
end
while documents >= tonumber(ARGV[3]) do
  if redis.call('HDEL', KEYS[1], redis.call('LPOP', KEYS[2])) == 0 then
    redis.call('UNLINK', KEYS[1], KEYS[2])
    documents = 0
  else
    documents = documents - 1
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1`;

/** A lookup waits no longer for Redis, in ms. */
const answerWithin = 50;
/** Nobody waits for an order to enter; a full warm-up sends a thousand of them at once. In ms. */
const enterWithin = 900;
/** A replica is left no more often, in ms: so a new primary behind the same name is found as soon. */
const leaveEvery = 2_000;

type Options = {
  url: string;
  limit: number;
  log: Log;
};

export type RedisCache = ReturnType<typeof createRedisCache>;

/**
 * The tier that replicas share. It fails open: when Redis is away, slow or refuses, an order is simply not there, and
 * after three failures in a row Redis is not even asked until a pause has passed. Reading and entering are judged apart:
 * a Redis that is full or read-only still answers.
 */
export const createRedisCache = ({ url, limit, log }: Options) => {
  const redis = openRedis(url, enterScript);
  const state = createServiceState('Redis', log, { probe: () => cache.size() });
  /** Since it has answered that it takes no writes: it is a replica now, and the primary is elsewhere. */
  let isReplica = false;
  let leftAt = Number.NEGATIVE_INFINITY;
  let leaving: Timer | undefined;
  const answered = () => {
    if (reads.isWell() && entries.isWell() && !isReplica) state.markUp();
  };
  const reads = createBreaker({ within: answerWithin, opened: state.markDown, answered });
  const entries = createBreaker({ within: enterWithin, opened: state.markDown, answered });
  const counts = { hits: 0, misses: 0 };
  let reached = () => {};

  redis.on('error', async (error) => {
    const isCut = ['ECONNRESET', 'EPIPE'].includes((error as { code?: string }).code ?? '');
    const refusal = isCut ? await refusalOf(url) : undefined;
    // It may have been reached meanwhile.
    if (isCut && redis.status === 'ready') return;
    state.markDown(refusal ?? error);
  });
  redis.on('ready', async () => {
    reads.reset();
    if (isReplica) {
      const replication = await redis.info('replication').catch(() => 'unknown');
      if (/role:slave|unknown/.test(replication)) return leave();
    }
    isReplica = false;
    entries.reset();
    state.markUp();
    reached();
  });
  /** Connects anew, as the name of the server may lead to the primary by now. Until it does lookups are still answered from here, but for moments. */
  const leave = () => {
    isReplica = true;
    if (leaving) return;
    leaving = setTimeout(
      () => {
        leaving = undefined;
        if (redis.status !== 'ready') return;
        leftAt = performance.now();
        redis.disconnect(true);
      },
      Math.max(0, leftAt + leaveEvery - performance.now()),
    );
  };
  redis.connect().catch(() => {}); // Its error event has told.

  const isConnected = () => redis.status === 'ready';

  const cache = {
    get(uid: OrderUid) {
      if (!isConnected()) return undefined;
      return reads.ask(
        () => redis.hgetBuffer(documentsKey, uid),
        (json) => {
          const isHit = json !== null && isDocumentOf(uid, json);
          counts[isHit ? 'hits' : 'misses']++;
          // A copy: what ioredis gives is a part of all that came with it, and would keep that in memory.
          return isHit ? encodeOrder(new Uint8Array(json)) : undefined;
        },
      );
    },
    async put(uid: OrderUid, { body }: EncodedOrder) {
      if (!isConnected() || isReplica) return;
      const document = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      await entries.ask(() =>
        redis.enterOrder(documentsKey, queueKey, uid, document, limit).catch((error) => {
          if (isReadOnly(error)) {
            state.markDown(error);
            leave();
          }
          throw error;
        }),
      );
    },
    size: async () => (isConnected() ? reads.ask(() => redis.hlen(documentsKey)) : undefined),
  } satisfies OrderCache;

  return {
    ...cache,
    /** Calls back each time Redis is reached anew: its data may be gone. */
    onReached(callback: () => void) {
      reached = callback;
    },
    /** Whether a lookup would not even ask now. */
    isBypassed: () => !isConnected() || reads.isOpen(),
    /** Since the start. What failed is no miss. */
    counts: () => ({ ...counts, failedReads: reads.failures(), failedEntries: entries.failures() }),
    /** Why Redis does not work; undefined while it does. */
    reason: () => state.reason() ?? (isConnected() ? undefined : 'not connected'),
    close() {
      clearTimeout(leaving);
      state.close();
      redis.disconnect();
    },
  };
};

/** Redis 7 begins with it, also from within a script; before, the script's error quotes it. */
const isReadOnly = (error: unknown) => /\bREADONLY\b/.test((error as Error).message);

/** Somebody else may have written the value: it must at least begin as this order's document and end as one. */
const isDocumentOf = (uid: OrderUid, json: Buffer) => {
  const beginning = `{"order_uid":${JSON.stringify(uid)},`;
  return json.toString('utf8', 0, Buffer.byteLength(beginning)) === beginning && json.at(-1) === 0x7d;
};
