/** Requests: the common header, the handlers, and how failures become Kafka's error codes. */
import type { Client, Handle } from './connection.ts';
import type { Fault, Faults } from './faults.ts';
import type { Log } from './topics.ts';
import { apiKeys, errorCode, isKafkaError, Reader, readText, skipTags, Writer } from './wire.ts';

export type Outcome<T> = { error: number; text: string | null; value: T | undefined };
export type Call = Client & {
  version: number;
  clientId: string;
  /** The request's body, to be read to its end before anything is done. */
  request: Reader;
  answer: Writer;
  /** Does the work for one entry of the answer, `about` a partition or not; what it throws becomes that entry's error code. */
  attempt: <T>(
    work: (fault: Fault) => T | Promise<T>,
    about?: { topic: string; partition: number },
  ) => Promise<Outcome<T>>;
  /** Has this done in place of answering. */
  instead: (what: 'none' | 'close') => void;
};
export type Api = {
  versions: [from: number, to: number];
  /** The first version that clients are told, if that is another; `versions` are still all that are answered. */
  offeredFrom?: number;
  /** The first version in Kafka's compact encoding, which has other headers; unset: `versions` stay below it. */
  flexibleFrom?: number;
  handle: (call: Call) => Promise<void>;
};
export type Apis = Record<string, Api>;

const keyOf = (name: string) => apiKeys[name] as number;
const storageErrors = /^(ENOSPC|EDQUOT|EIO|EROFS|SQLITE_(FULL|IOERR|READONLY))/;
const unsupported = new Set(['UNSUPPORTED_FOR_MESSAGE_FORMAT', 'UNSUPPORTED_VERSION'].map(errorCode));
const complainEveryMs = 10_000;

const apiVersions = (apis: Apis, faults: Faults): Api => ({
  versions: [0, 2],
  async handle({ version, answer }) {
    // Every newer client first sends a version that is not supported; it understands this answer in version 0.
    answer.appendInt16(errorCode(version > 2 ? 'UNSUPPORTED_VERSION' : 'NONE'));
    answer.appendArray(
      Object.entries(apis),
      (_, [name, { versions, offeredFrom = versions[0] }]) =>
        answer
          .appendInt16(keyOf(name))
          .appendInt16(offeredFrom)
          .appendInt16(faults.newestVersion(name, versions[1])),
      false,
      false,
    );
    if (version === 1 || version === 2) answer.appendInt32(0);
  },
});

export const createHandler = ({ apis, faults, log }: { apis: Apis; faults: Faults; log: Log }): Handle => {
  const all: Apis = { ...apis };
  all.ApiVersions = apiVersions(all, faults);
  const byKey = new Map(Object.entries(all).map(([name, api]) => [keyOf(name), { name, ...api }]));
  let complained = Number.NEGATIVE_INFINITY;

  const toErrorCode = (name: string, error: unknown): number => {
    if (isKafkaError(error)) {
      if (unsupported.has(error.kafkaCode))
        log.warn({ api: name, reason: error.message }, 'refused what is not supported');
      if (error.kafkaCode === errorCode('CORRUPT_MESSAGE') && name !== 'Produce')
        log.error({ api: name, reason: error.message }, 'a log is damaged; a restart sets the damage aside');
      return error.kafkaCode;
    }
    if (!storageErrors.test(String((error as { code?: unknown })?.code))) {
      log.error({ api: name, err: error }, 'a request failed');
      return errorCode('UNKNOWN_SERVER_ERROR');
    }
    if (performance.now() - complained > complainEveryMs) {
      complained = performance.now();
      log.error({ api: name, err: error }, 'disk full; clients retry');
    }
    return errorCode('KAFKA_STORAGE_ERROR');
  };

  return async (bytes, client) => {
    const request = Reader.from(bytes);
    const key = request.readInt16();
    const version = request.readInt16();
    const correlation = request.readInt32();
    const clientId = readText(request) ?? '';
    const api = byKey.get(key);
    if (!api) throw new Error(`API ${key} is not supported`);
    const from = api.versions[0];
    const to = faults.newestVersion(api.name, api.versions[1]);
    if ((version < from || version > to) && api.name !== 'ApiVersions') {
      throw new Error(`${api.name} is supported in versions ${from} to ${to}, not ${version}`);
    }
    const isFlexible = api.flexibleFrom !== undefined && version >= api.flexibleFrom;
    if (isFlexible) skipTags(request);
    const subject = { api: api.name, clientId };
    let other: 'none' | 'close' | undefined;
    const instead: Call['instead'] = (what) => {
      other = what;
    };
    /** Whether the work is to be done. */
    const suffer = async ({ delayMs, drop }: Fault): Promise<boolean> => {
      if (delayMs) await Bun.sleep(delayMs);
      if (drop) instead('close');
      return drop !== 'before';
    };
    const planned = faults.next(subject);
    if (!(await suffer(planned))) return 'close';

    const attempt: Call['attempt'] = async (work, about) => {
      const fault = about ? faults.next({ ...subject, ...about }) : {};
      const isDone = await suffer(fault);
      const error = planned.error ?? fault.error ?? (isDone ? undefined : 'UNKNOWN_SERVER_ERROR');
      if (error) return { error: errorCode(error), text: 'as planned by a test', value: undefined };
      try {
        return { error: 0, text: null, value: await work(fault) };
      } catch (error) {
        return { error: toErrorCode(api.name, error), text: (error as Error).message, value: undefined };
      }
    };
    const answer = Writer.create().appendInt32(correlation);
    if (isFlexible) answer.appendTaggedFields();
    await api.handle({ ...client, version, clientId, request, answer, attempt, instead });
    return other ?? answer.prependLength().buffer;
  };
};

/** The results of `work`, which begins with an entry when the one before has ended. */
export const inTurn = async <T, U>(list: T[], work: (entry: T) => Promise<U>): Promise<U[]> => {
  const results: U[] = [];
  for (const entry of list) results.push(await work(entry));
  return results;
};
