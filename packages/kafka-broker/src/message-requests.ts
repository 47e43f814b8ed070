/** Produce, Fetch, ListOffsets, OffsetForLeaderEpoch, InitProducerId: the requests of producers and consumers. */
import type { PartitionLog } from './partition-log.ts';
import type { Api, Apis } from './requests.ts';
import { leaderEpoch } from './topic-requests.ts';
import type { Topics } from './topics.ts';
import {
  errorCode,
  kafkaError,
  mapTopics,
  noTransactions,
  readBytes,
  readText,
  readTopics,
  type Writer,
  writeBytes,
  writeTopics,
} from './wire.ts';

const maxFetchBytes = 55 * 1024 * 1024;
const latest = -1;
const earliest = -2;
const maxTimestamp = -3;
const earliestLocal = -4;
const latestTiered = -5;
const noRecords = Buffer.alloc(0);

const produce = (topics: Topics): Api => ({
  versions: [3, 7],
  // As Kafka 4 does: to a broker that offers no version 0, librdkafka up to 2.11.0 sends without compression (KAFKA-18659).
  offeredFrom: 0,
  async handle({ version, request, answer, attempt, instead }) {
    const transaction = readText(request);
    const acks = request.readInt16();
    request.readInt32(); // How long to wait for replicas, of which there are none.
    const sent = readTopics(request, () => ({ partition: request.readInt32(), bytes: readBytes(request) }));

    const stored = await mapTopics(sent, ({ topic, partition, bytes }) =>
      attempt(
        () => {
          if (acks < -1 || acks > 1) throw kafkaError('INVALID_REQUIRED_ACKS');
          if (transaction !== null) throw noTransactions();
          return topics.partition(topic, partition).append(bytes);
        },
        { topic, partition },
      ),
    );
    if (acks === 0) {
      const failed = stored.flatMap(({ partitions }) => partitions).find(({ error }) => error !== 0);
      // For a producer without acks a failure closes the connection, as with Kafka.
      return instead(failed ? 'close' : 'none');
    }
    writeTopics(answer, stored, ({ partition, error, value }) => {
      answer
        .appendInt32(partition)
        .appendInt16(error)
        .appendInt64(BigInt(value ?? -1));
      answer.appendInt64(-1n); // The time is the producer's, not that of the append.
      if (version >= 5) answer.appendInt64(error === 0 ? 0n : -1n);
    });
    answer.appendInt32(0);
  },
});

type Waiting = { log: PartitionLog; room: number };
/**
 * Resolves when `missingBytes` have been appended to the logs, to each no more counted than it has room for in the answer;
 * when one is closed or has lost records; after `ms`; or when the client goes away. Reads nothing.
 */
const enoughAppended = (
  waiting: Waiting[],
  missingBytes: number,
  ms: number,
  signal: AbortSignal,
): Promise<void> =>
  new Promise((resolve) => {
    let missing = missingBytes;
    const done = () => {
      clearTimeout(timer);
      for (const forget of listeners) forget();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const listeners = waiting.map(({ log, room }) => {
      let left = room;
      return log.onChange((appended) => {
        const counted = Math.min(appended, left);
        left -= counted;
        missing -= counted;
        if (appended === 0 || missing <= 0) done();
      });
    });
    signal.addEventListener('abort', done);
  });

/** No fetch session is kept: every request names all of its partitions. */
const noSession = 0;
const refuseSession = (answer: Writer, session: number) => {
  answer.appendInt32(0).appendInt16(errorCode('FETCH_SESSION_ID_NOT_FOUND')).appendInt32(session);
  writeTopics(answer, [], () => {});
};

/** Throws if the client knows a later leader than there is; −1 if it knows none. */
const expectKnown = (epoch: number) => {
  if (epoch > leaderEpoch) throw kafkaError('UNKNOWN_LEADER_EPOCH');
};

/** Up to version 10, without which librdkafka does not compress with zstd. */
const fetch = (topics: Topics): Api => ({
  versions: [4, 10],
  async handle({ version, request, answer, attempt, signal }) {
    request.readInt32(); // The replica that asks: none but consumers here.
    const deadline = performance.now() + request.readInt32();
    const minBytes = request.readInt32();
    const maxBytes = Math.min(request.readInt32(), maxFetchBytes);
    request.readInt8(); // Whether to see open transactions, of which there are none.
    if (version >= 7) {
      const session = request.readInt32();
      // The number of a request in its session, from 1 on: it names only the partitions that are not as they were before it.
      if (request.readInt32() > 0) return refuseSession(answer, session);
    }
    const wanted = readTopics(request, () => {
      const partition = request.readInt32();
      const epoch = version >= 9 ? request.readInt32() : -1;
      const offset = Number(request.readInt64());
      if (version >= 5) request.readInt64();
      return { partition, epoch, offset, most: request.readInt32() };
    });

    /** What there is now, and how many bytes are missing before it may be answered: none at an error. */
    const collect = async () => {
      let size = 0;
      let failed = false;
      const waiting: Waiting[] = [];
      const found = await mapTopics(wanted, async ({ topic, partition, epoch, offset, most }) => {
        const outcome = await attempt(
          ({ isEmpty }) => {
            const log = topics.partition(topic, partition);
            expectKnown(epoch);
            const bytes = isEmpty
              ? noRecords
              : log.fetch(offset, Math.min(most, maxBytes - size), size === 0);
            waiting.push({ log, room: most - bytes.length });
            return { bytes, end: log.nextOffset, start: log.logStart };
          },
          { topic, partition },
        );
        size += outcome.value?.bytes.length ?? 0;
        failed ||= outcome.error !== 0;
        return outcome;
      });
      return { found, waiting, missing: failed ? 0 : Math.min(minBytes, maxBytes) - size };
    };

    let { found, waiting, missing } = await collect();
    const left = deadline - performance.now();
    if (missing > 0 && left > 0 && !signal.aborted) {
      await enoughAppended(waiting, missing, left, signal);
      // Read once more, not at each append: a consumer that wants much must not slow down those who produce it.
      ({ found } = await collect());
    }
    answer.appendInt32(0);
    if (version >= 7) answer.appendInt16(0).appendInt32(noSession);
    writeTopics(answer, found, ({ partition, error, value }) => {
      const end = BigInt(value?.end ?? -1);
      answer.appendInt32(partition).appendInt16(error).appendInt64(end).appendInt64(end);
      if (version >= 5) answer.appendInt64(BigInt(value?.start ?? -1));
      answer.appendInt32(0); // Aborted transactions.
      // Empty, never null: after an error with null records librdkafka retries immediately, for ever.
      writeBytes(answer, value?.bytes ?? noRecords);
    });
  },
});

const listOffsets = (topics: Topics): Api => ({
  versions: [1, 3],
  async handle({ version, request, answer, attempt }) {
    request.readInt32();
    if (version >= 2) request.readInt8();
    const wanted = readTopics(request, () => ({
      partition: request.readInt32(),
      timestamp: Number(request.readInt64()),
    }));
    const found = await mapTopics(wanted, ({ topic, partition, timestamp }) =>
      attempt(
        () => {
          const log = topics.partition(topic, partition);
          if (timestamp === latest) return { offset: log.nextOffset, timestamp: -1 };
          if (timestamp === earliest || timestamp === earliestLocal)
            return { offset: log.logStart, timestamp: -1 };
          if (timestamp === maxTimestamp) return log.findMaxTimestamp();
          // No tier holds anything, which Kafka says so.
          if (timestamp === latestTiered) return undefined;
          if (timestamp < 0) throw kafkaError('INVALID_REQUEST', `there is no offset for ${timestamp}`);
          return log.findTime(timestamp);
        },
        { topic, partition },
      ),
    );
    if (version >= 2) answer.appendInt32(0);
    writeTopics(answer, found, ({ partition, error, value }) => {
      answer.appendInt32(partition).appendInt16(error);
      answer.appendInt64(BigInt(value?.timestamp ?? -1)).appendInt64(BigInt(value?.offset ?? -1));
    });
  },
});

const initProducerId: Api = {
  versions: [0, 1],
  async handle({ request, answer, attempt }) {
    const transaction = readText(request);
    request.readInt32();
    const { error, value } = await attempt(() => {
      if (transaction !== null) throw noTransactions();
      // Drawn at random, so that no two are the same even across restarts; below 2^53 for JavaScript clients' sake.
      const [random = 0n] = crypto.getRandomValues(new BigUint64Array(1));
      return random >> 11n;
    });
    answer.appendInt32(0).appendInt16(error);
    answer.appendInt64(value ?? -1n).appendInt16(error === 0 ? 0 : -1);
  },
};

/** With one leader epoch the log of the requested one, if it is that, ends where the log does. */
const offsetForLeaderEpoch = (topics: Topics): Api => ({
  versions: [2, 3],
  async handle({ version, request, answer, attempt }) {
    if (version >= 3) request.readInt32(); // The replica that asks: none but consumers here.
    const wanted = readTopics(request, () => {
      const partition = request.readInt32();
      const current = request.readInt32();
      return { partition, current, epoch: request.readInt32() };
    });
    const found = await mapTopics(wanted, ({ topic, partition, current, epoch }) =>
      attempt(
        () => {
          const log = topics.partition(topic, partition);
          expectKnown(current);
          return epoch === leaderEpoch ? { epoch, end: log.nextOffset } : undefined;
        },
        { topic, partition },
      ),
    );
    answer.appendInt32(0);
    writeTopics(answer, found, ({ partition, error, value }) =>
      answer
        .appendInt16(error)
        .appendInt32(partition)
        .appendInt32(value?.epoch ?? -1)
        .appendInt64(BigInt(value?.end ?? -1)),
    );
  },
});

export const messageApis = (topics: Topics): Apis => ({
  Produce: produce(topics),
  Fetch: fetch(topics),
  ListOffsets: listOffsets(topics),
  InitProducerId: initProducerId,
  OffsetForLeaderEpoch: offsetForLeaderEpoch(topics),
});
