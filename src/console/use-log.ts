import type { Log } from '../observability/log.ts';

/** Logs what an operator did. `use` must hold no personal data. */
export const logUse = (log: Log, operator: string, use: object) =>
  log.info({ operator, ...use }, 'an operator used the console');
