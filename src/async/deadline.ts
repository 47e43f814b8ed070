type Wait = { until: number; giveUp: (error: Error) => void };

export type Deadline = ReturnType<typeof createDeadline>;

/**
 * For waits that may all last equally long, `ms`. One timer watches the longest of them: every lookup that memory cannot answer
 * waits here, and a timer or a promise for each would take longer than all the rest of this.
 */
export const createDeadline = (ms: number) => {
  // In the order in which they began, so in the order in which they end.
  const waits = new Set<Wait>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const watch = (milliseconds: number) => {
    timer = setTimeout(look, milliseconds);
  };
  const look = () => {
    timer = undefined;
    const now = performance.now();
    for (const wait of waits) {
      if (wait.until > now) return watch(Math.ceil(wait.until - now));
      waits.delete(wait);
      wait.giveUp(new Error(`no answer within ${ms} ms`));
    }
  };

  return {
    /** `giveUp` is called once, unless the wait has ended by then. */
    begin(giveUp: Wait['giveUp']): Wait {
      const wait = { until: performance.now() + ms, giveUp };
      waits.add(wait);
      if (!timer) watch(ms);
      return wait;
    },
    /** False when it has been given up: what has come is nobody's. */
    end: (wait: Wait): boolean => waits.delete(wait),
  };
};
