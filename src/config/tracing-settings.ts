import type { TracingSettings } from '../observability/tracing/tracing.ts';
import type { Config } from './settings.ts';

/** Undefined when traces are wanted nowhere. */
export const tracingSettings = (
  config: Pick<Config, 'otlpEndpoint' | 'tracesSampler' | 'tracesSamplerShare'>,
  service: string,
): TracingSettings | undefined =>
  config.otlpEndpoint === null
    ? undefined
    : {
        endpoint: config.otlpEndpoint,
        sampler: config.tracesSampler,
        samplerShare: config.tracesSamplerShare,
        service,
      };
