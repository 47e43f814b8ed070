/** What a test can make the broker do wrong. */
import { writeSync } from 'node:fs';
import { apiKeys, errorCode } from './wire.ts';

type Fault = { delayMs?: number; drop?: 'before' | 'after'; error?: number };

export const createFaults = () => {
  const planned = new Map<number, Fault[]>();
  let diskFull = false;

  const plan = (api: string, fault: Fault, times: number) => {
    const key = apiKeys[api];
    if (key === undefined) throw new Error(`Kafka's protocol has no API ${api}`);
    planned.set(key, [...(planned.get(key) ?? []), ...Array<Fault>(times).fill(fault)]);
  };

  const noSpace = () => Object.assign(new Error('no space left on device (simulated)'), { code: 'ENOSPC' });

  return {
    /** The next `times` requests of the API ('Produce', 'Fetch', …) are handled `ms` milliseconds later. */
    delay: (api: string, ms: number, times = 1) => plan(api, { delayMs: ms }, times),
    /** The next `times` requests of the API lose their connection: unhandled, or handled but not answered. */
    drop: (api: string, when: 'before' | 'after' = 'before', times = 1) => plan(api, { drop: when }, times),
    /** The next `times` requests of the API do nothing and answer the error of that name wherever they can hold one. */
    error: (api: string, name: string, times = 1) => plan(api, { error: errorCode(name) }, times),
    /** While on, the disk takes half of what is written, then ENOSPC. */
    fillDisk: (on: boolean) => {
      diskFull = on;
    },
    /** Ends all faults. */
    clear: () => {
      planned.clear();
      diskFull = false;
    },
    /** What the broker writes its logs with. */
    write: (file: number, bytes: Buffer, offset: number, length: number, position: number): number => {
      if (!diskFull) return writeSync(file, bytes, offset, length, position);
      writeSync(file, bytes, offset, length >> 1, position);
      throw noSpace();
    },
    assertSpace: () => {
      if (diskFull) throw noSpace();
    },
    next: (apiKey: number): Fault => planned.get(apiKey)?.shift() ?? {},
  };
};
export type Faults = ReturnType<typeof createFaults>;
