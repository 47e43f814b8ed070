/** What passes between the thread that wants a broker and the one that it runs in. */
import type { BrokerOptions } from './broker.ts';
import type { Log } from './topics.ts';

export type ToBroker = { start: BrokerOptions } | 'stop';
export type FromBroker =
  | { started: string }
  | { failed: string }
  | { log: [level: keyof Log, fields: object, text: string] }
  | 'stopped';
