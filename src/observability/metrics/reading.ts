import { Counter, Gauge, type Registry } from 'prom-client';

/** A number, or one for each set of labels; undefined while it is unknown. */
type Value = number | undefined | readonly (readonly [labels: Record<string, string>, value: number])[];

export type Reading = {
  name: string;
  help: string;
  labels?: string[];
  read: () => Value | Promise<Value>;
};

/** Metrics whose values are kept elsewhere, as plain numbers (prom-client is too slow on hot paths), and read at each scrape. */
export const createReadings = (registry: Registry) => {
  const optionsOf = ({ name, help, labels = [] }: Reading) => ({
    name,
    help,
    labelNames: labels,
    registers: [registry],
  });
  /** Undefined while there is no value: then the metric has no sample, which is not the same as 0. */
  const samplesOf = async ({ read }: Reading) => {
    const value = await read();
    return typeof value === 'number' ? [[{}, value] as const] : value;
  };
  return {
    gauge(reading: Reading) {
      new Gauge({
        ...optionsOf(reading),
        async collect() {
          const samples = await samplesOf(reading);
          this.reset();
          if (!samples) this.remove();
          for (const [labels, value] of samples ?? []) this.set(labels, value);
        },
      });
    },
    /** `read` returns totals since the start. */
    counter(reading: Reading) {
      new Counter({
        ...optionsOf(reading),
        async collect() {
          const samples = await samplesOf(reading);
          this.reset();
          for (const [labels, value] of samples ?? []) this.inc(labels, value);
        },
      });
    },
  };
};

export type Readings = ReturnType<typeof createReadings>;
