import Redis from 'ioredis';
import type { OrderCache } from './cache.ts';
import { type Document, toDocument } from './document.ts';
import type { Log } from './log.ts';
import type { OrderUid } from './order.ts';
import { createServiceState } from './service-state.ts';

/** Both keys carry one hash tag, so that a Redis Cluster keeps them in one place, where a script may change both. */
const documentsKey = '{orders}:documents';
const queueKey = '{orders}:queue';

/**
 * Enters an order and lets the oldest leave, in one atomic step. The hash and the queue always have the same length; when
 * they have not, or are something else, somebody has been at them: then they are dropped, as the cache can only cost time.
 * KEYS: documents, queue. ARGV: uid, document, limit. Returns 1 when the order has entered, 0 when it was in.
 */
const enterScript = `
local documents = redis.pcall('HLEN', KEYS[1])
local queue = redis.pcall('LLEN', KEYS[2])
if type(documents) == 'table' or type(queue) == 'table' or documents ~= queue then
  redis.call('DEL', KEYS[1], KEYS[2])
  documents = 0
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
while documents >= tonumber(ARGV[3]) do
  if redis.call('HDEL', KEYS[1], redis.call('LPOP', KEYS[2])) == 0 then
    redis.call('DEL', KEYS[1], KEYS[2])
    documents = 0
  else
    documents = documents - 1
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1`;

type Client = Redis & {
  enterOrder(documents: string, queue: string, uid: string, document: Buffer, limit: number): Promise<number>;
};

/** Failures in a row after which Redis is left alone for a while. */
const failuresAtMost = 3;
/** For how long, in ms: at first, and at most; it doubles with each attempt that fails. */
const aloneFirst = 500;
const aloneAtMost = 10_000;
/** A lookup waits no longer for Redis, in ms. */
const answerWithin = 50;

type Options = {
  url: string;
  limit: number;
  log: Log;
};

export type RedisCache = ReturnType<typeof createRedisCache>;

/**
 * The tier that replicas share. It fails open: when Redis is away, slow or refuses, an order is simply not there, and
 * after three failures in a row Redis is not even asked until a pause has passed.
 */
export const createRedisCache = ({ url, limit, log }: Options) => {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    connectTimeout: 1_000,
    commandTimeout: 1_000,
    socketTimeout: 2_000,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(100 * 2 ** attempt, 2_000),
  }) as Client;
  redis.defineCommand('enterOrder', { numberOfKeys: 2, lua: enterScript });

  const state = createServiceState('Redis', log);
  let failures = 0;
  let alone = aloneFirst;
  let askAgainAt = 0;
  let reached = () => {};

  redis.on('error', (error) => state.fails(error));
  redis.on('ready', () => {
    failures = 0;
    askAgainAt = 0;
    alone = aloneFirst;
    state.works();
    reached();
  });
  redis.connect().catch(() => {}); // Its error event has told.

  const isLeftAlone = () => redis.status !== 'ready' || performance.now() < askAgainAt;

  const failed = (error: unknown) => {
    failures++;
    if (failures < failuresAtMost) return;
    // One question is let through after the pause; its answer decides.
    failures = failuresAtMost - 1;
    askAgainAt = performance.now() + alone;
    alone = Math.min(alone * 2, aloneAtMost);
    state.fails(error);
  };

  /** The answer, or undefined when there is none in time. */
  const ask = async <T>(question: () => Promise<T>): Promise<T | undefined> => {
    if (isLeftAlone()) return undefined;
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${answerWithin} ms`)), answerWithin);
    });
    try {
      const answer = await Promise.race([question(), late]);
      failures = 0;
      alone = aloneFirst;
      state.works();
      return answer;
    } catch (error) {
      failed(error);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  };

  const cache = {
    async get(uid: OrderUid) {
      const json = await ask(() => redis.hgetBuffer(documentsKey, uid));
      return json && isDocumentOf(uid, json) ? toDocument(json as Buffer<ArrayBuffer>) : undefined;
    },
    async put(uid: OrderUid, { body }: Document) {
      const document = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      await ask(() => redis.enterOrder(documentsKey, queueKey, uid, document, limit));
    },
    size: () => ask(() => redis.hlen(documentsKey)),
  } satisfies OrderCache;

  return {
    ...cache,
    /** Calls back each time Redis is reached anew: its data may be gone. */
    onReached(callback: () => void) {
      reached = callback;
    },
    /** Whether a lookup would not even ask now. */
    isLeftAlone,
    /** Why Redis does not work; undefined while it does. */
    reason: () => state.reason() ?? (redis.status === 'ready' ? undefined : 'not connected'),
    close: () => redis.disconnect(),
  };
};

const utf8 = new TextEncoder();

/** Somebody else may have written the value: it must at least begin as this order's document and end as one. */
const isDocumentOf = (uid: OrderUid, json: Buffer) => {
  const beginning = utf8.encode(`{"order_uid":${JSON.stringify(uid)},`);
  return json.subarray(0, beginning.length).equals(beginning) && json.at(-1) === 0x7d;
};
