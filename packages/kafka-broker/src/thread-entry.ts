/** Runs in the broker's thread; `thread.ts` starts it. */
import { type Broker, startBroker } from './broker.ts';
import type { FromBroker, ToBroker } from './thread-messages.ts';
import type { Log } from './topics.ts';

declare const self: Worker;

const post = (message: FromBroker) => self.postMessage(message);

const logAs =
  (level: keyof Log): Log['info'] =>
  (fields, text) =>
    post({ log: [level, fields, text] });

let broker: Broker | undefined;

self.onmessage = async ({ data }: MessageEvent<ToBroker>) => {
  if (data === 'stop') {
    await broker?.stop();
    return post('stopped');
  }
  try {
    const log = { info: logAs('info'), warn: logAs('warn'), error: logAs('error') };
    broker = await startBroker({ ...data.start, log });
    post({ started: broker.brokers });
  } catch (error) {
    post({ failed: (error as Error).message });
  }
};
