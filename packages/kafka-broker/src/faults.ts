/** Faults that a test injects: errors, delays and lost connections, by API, topic and partition; and a full disk. */
import type { Write } from './segment.ts';
import { apiKeys, errorCode } from './wire.ts';

/** What happens to a request, or to its part about one partition. */
export type Fault = {
  /** Handled this much later, in ms. */
  delayMs?: number;
  /** The connection is closed: before anything is done, or after it is done and in place of the answer. */
  drop?: 'before' | 'after';
  /** Nothing is done, and the error of this name is answered wherever the answer can hold one. */
  error?: string;
  /** A fetch answers no records, though there are some. */
  isEmpty?: boolean;
};
/** `topic` and `partition` are set when it is about one partition; the hook is called for the whole request first. */
export type Subject = { api: string; clientId: string; topic?: string; partition?: number };
/** Returns the fault, or undefined for none. */
export type FaultHook = (subject: Subject) => Fault | undefined;
export type Scope = { times?: number; topic?: string; partition?: number };

/** The requests that only a partition's leader answers. */
const leaderApis = new Set(['Produce', 'Fetch', 'ListOffsets', 'OffsetForLeaderEpoch', 'DeleteRecords']);

export const createFaults = () => {
  const hooks = new Set<FaultHook>();
  const newest = new Map<string, number>();
  let diskFull = false;

  const checkApi = (api: string) => {
    if (apiKeys[api] === undefined) throw new Error(`Kafka's protocol has no API ${api}`);
  };

  const intercept = (hook: FaultHook) => {
    hooks.add(hook);
    return () => void hooks.delete(hook);
  };

  const plan = (api: string, fault: Fault, scope: number | Scope = 1) => {
    checkApi(api);
    const { times = 1, topic, partition } = typeof scope === 'number' ? { times: scope } : scope;
    let left = times;
    const remove = intercept((subject) => {
      const matches =
        subject.api === api &&
        subject.topic === topic &&
        (partition === undefined || subject.partition === partition);
      if (!matches) return undefined;
      left--;
      if (left <= 0) remove();
      return fault;
    });
    return remove;
  };

  const noSpace = () => Object.assign(new Error('no space left on device (simulated)'), { code: 'ENOSPC' });

  return {
    /** Calls `hook` for every request, and for every partition in it; returns the function that removes it. */
    intercept,
    /**
     * The next `times` requests of the API ('Produce', 'Fetch', …) are handled `ms` milliseconds later. With a topic, only
     * those about it (Produce, Fetch, ListOffsets, DeleteRecords, OffsetCommit, Metadata). Returns the function that ends the fault.
     */
    delay: (api: string, ms: number, scope?: number | Scope) => plan(api, { delayMs: ms }, scope),
    /** These requests lose their connection: unhandled, or handled but not answered. */
    drop: (api: string, when: 'before' | 'after' = 'before', scope?: number | Scope) =>
      plan(api, { drop: when }, scope),
    /** These do nothing and answer the error of that name wherever they can hold one. */
    error: (api: string, name: string, scope?: number | Scope) => {
      errorCode(name);
      return plan(api, { error: name }, scope);
    },
    /** The partition has no leader. Returns the function that ends the fault. */
    loseLeader: (topic: string, partition: number) =>
      intercept((subject) => {
        if (subject.topic !== topic || subject.partition !== partition) return undefined;
        if (subject.api === 'Metadata') return { error: 'LEADER_NOT_AVAILABLE' };
        return leaderApis.has(subject.api) ? { error: 'NOT_LEADER_OR_FOLLOWER' } : undefined;
      }),
    /** Fetches of the partition bring nothing, as with a Kafka where the size of a batch is damaged. Returns the function that ends it. */
    hideRecords: (topic: string, partition: number) =>
      intercept((subject) =>
        subject.api === 'Fetch' && subject.topic === topic && subject.partition === partition
          ? { isEmpty: true }
          : undefined,
      ),
    /** Supports the API up to this version only, as an older broker does. Clients that are connected do not know of it. */
    limit: (api: string, version: number) => {
      checkApi(api);
      newest.set(api, version);
    },
    /** While on, half of each write succeeds, then ENOSPC. */
    fillDisk: (on: boolean) => {
      diskFull = on;
    },
    /** Ends all faults. */
    clear: () => {
      hooks.clear();
      newest.clear();
      diskFull = false;
    },
    /** What the broker writes its logs with. */
    write: ((file, bytes, position) => {
      if (!diskFull) return file.write(bytes, position);
      file.write(bytes.subarray(0, bytes.length >> 1), position);
      throw noSpace();
    }) satisfies Write as Write,
    /** The newest version of the API that is supported, which is `version` unless it is limited. */
    newestVersion: (api: string, version: number) => Math.min(version, newest.get(api) ?? version),
    assertSpace: () => {
      if (diskFull) throw noSpace();
    },
    /** The first fault that a hook has for it. */
    next: (subject: Subject): Fault => {
      for (const hook of hooks) {
        const fault = hook(subject);
        if (fault) return fault;
      }
      return {};
    },
  };
};
export type Faults = ReturnType<typeof createFaults>;
