/** Both keys carry one hash tag, so that a Redis Cluster keeps them in one slot, where a script may change both. */
export const documentsKey = '{orders}:documents';
export const queueKey = '{orders}:queue';

/**
 * The hash and the queue always have the same length; where they have not, or have another type, something else has changed them, as
 * an eviction by Redis does, and both are dropped, as a cache may be.
 */
const dropIfDamaged = `
local documents = redis.pcall('HLEN', KEYS[1])
local queue = redis.pcall('LLEN', KEYS[2])
if type(documents) == 'table' or type(queue) == 'table' or documents ~= queue then
  redis.call('UNLINK', KEYS[1], KEYS[2])
  documents = 0
end`;

/** Drops the hash and the queue if they are damaged. KEYS: documents, queue. Returns how many orders there are. */
export const checkScript = `${dropIfDamaged}
return documents`;

/** LREM passes over the queue once for each order; one rewrite of the queue takes about as long as this many passes. */
const maxPasses = 10;

/**
 * Removes orders that were erased, in one atomic step that takes one rewrite of the queue at most, however many they are. KEYS:
 * documents, queue. ARGV: uids. Returns how many were there.
 */
export const removeScript = `${dropIfDamaged}
local erased = {}
local removed = 0
for _, uid in ipairs(ARGV) do
  if redis.call('HDEL', KEYS[1], uid) == 1 then
    erased[uid] = true
    removed = removed + 1
  end
end
if removed <= ${maxPasses} then
  for uid in pairs(erased) do
    redis.call('LREM', KEYS[2], 0, uid)
  end
  return removed
end
local kept = {}
local count = 0
for _, uid in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  if not erased[uid] then
    count = count + 1
    kept[count] = uid
  end
end
redis.call('UNLINK', KEYS[2])
for first = 1, count, 1000 do
  redis.call('RPUSH', KEYS[2], unpack(kept, first, math.min(first + 999, count)))
end
return removed`;

/**
 * Inserts an order, and evicts the oldest where there is no room, in one atomic step. An order never changes, so a different value
 * under its uid is damaged, and is replaced in its place.
 * KEYS: documents, queue. ARGV: uid, document, limit. Returns 1 when the order was inserted, 0 when it was there.
 */
export const insertScript = `${dropIfDamaged}
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
