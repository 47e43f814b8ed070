export type Sample = { name: string; labels: Record<string, string>; value: number };

/** The samples in Prometheus's text format. */
export const readSamples = (text: string): Sample[] =>
  [...text.matchAll(/^([a-z_0-9]+)(?:{(.*)})? (\S+)$/gm)].map(([, name = '', list = '', value]) => ({
    name,
    labels: Object.fromEntries(
      [...list.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, held]) => [label, held]),
    ),
    value: Number(value),
  }));
