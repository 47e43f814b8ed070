import type { Shutdown } from '../async/shutdown.ts';
import type { Config } from '../config/settings.ts';
import type { Log } from '../observability/log.ts';
import type { Tracing } from '../observability/tracing/tracing.ts';

/** What every part of the program is opened with. */
export type Context = {
  config: Config;
  log: Log;
  tracing: Tracing | undefined;
  shutdown: Shutdown;
  /** Closes what was opened, the last one first. */
  open: AsyncDisposableStack;
};
