import { backoff, sleep } from '../async/retry.ts';
import { stopTimeoutsMs } from '../async/stop-timeouts.ts';
import { waitAtMost } from '../async/timeouts.ts';
import { type Fence, fenceOf } from './fence.ts';
import { type MemberOptions, runMember, stallTimeoutMs } from './member.ts';

type Options = MemberOptions & {
  /** Creates the topics that are missing. */
  prepare: () => Promise<void>;
};

/**
 * Reads the topic as a member of the group, without end: a member that has crashed, stalled, or was fenced off is replaced by a
 * new one, with backoff.
 */
export const createConsumer = ({ prepare, ...options }: Options) => {
  const { group, kafkaState, log, progress } = options;
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  const reportFence = ({ reason, partition, from, to, expected }: Fence) => {
    log.warn(
      {
        topic: group.topic,
        reason,
        partition,
        from: from?.toString(),
        to: to?.toString(),
        expected: expected?.toString(),
      },
      reason === 'recreated'
        ? 'the topic was recreated; a new member reads it from its beginning'
        : 'a batch was fenced off and not stored; a new member begins again at the stored offset',
    );
    progress.fenced(reason);
  };

  const run = async () => {
    for (let attempt = 0; !stopping.signal.aborted; attempt++) {
      const startedAt = performance.now();
      try {
        await prepare();
        if (!stopping.signal.aborted) await runMember(options, stopping.signal);
      } catch (error) {
        const fence = fenceOf(error);
        if (fence) reportFence(fence);
        else kafkaState.markDown(error);
        if (performance.now() - startedAt > stallTimeoutMs) attempt = 0;
        await sleep(backoff(attempt), stopping.signal);
      }
    }
  };

  return {
    start() {
      running ??= run();
    },
    /** Stops fetching, lets what is in flight be stored and committed, as far as a few seconds allow, and leaves the group. */
    async stop() {
      stopping.abort();
      // A member that is still connecting to a Kafka that is away takes all of it.
      await waitAtMost(stopTimeoutsMs.consumer, running ?? Promise.resolve());
    },
  };
};
