import type { Log } from '../log.ts';

/** Plain data, so that it can be sent to a worker. */
export type TracingSettings = {
  /** Base URL of an OTLP/HTTP collector, without `/v1/traces`. */
  endpoint: string;
  /** As in OTEL_TRACES_SAMPLER. */
  sampler: string;
  samplerShare: number;
  /** `service.name` of the spans, unless OTEL_SERVICE_NAME is set. */
  service: string;
};

/** W3C Trace Context, as in headers of HTTP requests and Kafka messages. */
export type TraceHeaders = { traceparent: string; tracestate?: string };

/** Nothing of an order, above all not its number: whoever knows it can read the order. */
type Attributes = Record<string, string | number | string[]>;

export type SpanOptions = {
  name: string;
  /** A `client` span never starts a trace: outside of another span the work runs untraced. */
  kind: 'server' | 'client' | 'producer' | 'consumer';
  attributes: Attributes;
  /** Contexts of the messages or request. The first sampled one becomes the parent, up to 100 others become links. */
  from?: Iterable<TraceHeaders>;
};

export type Span = {
  set(attributes: Attributes): void;
  /** `type`: the error's class or code. */
  fail(type: string): void;
};

export type Tracing = {
  /**
   * Runs `work` in a span that ends when it returns or its promise settles. An error is recorded by code or class only, as its
   * message may quote an order.
   */
  span<T>(options: SpanOptions, work: (span: Span) => T): T;
  /** Headers that propagate the current span. */
  headers(): TraceHeaders | undefined;
  /** Ids of the current span, for log lines. */
  ids(): { trace_id?: string; span_id?: string };
  /** Exports buffered spans, for at most 2 s. */
  close(): Promise<void>;
};

/** Without settings OpenTelemetry is not loaded, except for its API, which prom-client imports. */
export const openTracing = async (
  settings: TracingSettings | undefined,
  log: Log,
): Promise<Tracing | undefined> => {
  if (!settings) return undefined;
  const { createTracing } = await import('./open-telemetry.ts');
  return createTracing(settings, log);
};

/** Wraps a part of the program in spans. Without tracing it returns the part itself, at no cost. */
export const tracedBy =
  (tracing: Tracing | undefined) =>
  <Part>(trace: (tracing: Tracing, part: Part) => Part, part: Part): Part =>
    tracing ? trace(tracing, part) : part;
