import type { Log } from '../log.ts';

/** What a thread needs to know to trace, as plain data. */
export type TracingSettings = {
  /** Of an OpenTelemetry collector that takes OTLP over HTTP, without `/v1/traces`. */
  endpoint: string;
  /** A value of OTEL_TRACES_SAMPLER. */
  sampler: string;
  samplerShare: number;
  /** What the spans are of, unless OTEL_SERVICE_NAME says another name. */
  service: string;
};

/** A span's context as the headers of HTTP and of Kafka's messages carry it, by W3C's names. */
export type TraceHeaders = { traceparent: string; tracestate?: string };

/** Never an order's number, which gives access to it, and nothing else of an order. */
export type Attributes = Record<string, string | number | string[]>;

export type SpanOptions = {
  name: string;
  /** One of `client` never begins a trace: outside of any other span its work is done without it. */
  kind: 'server' | 'client' | 'producer' | 'consumer';
  attributes: Attributes;
  /** What came with the work. The first that is sampled is the parent; the others that are get links, up to 100. */
  from?: Iterable<TraceHeaders>;
};

export type Span = {
  set(attributes: Attributes): void;
  /** `type` is a class or code of errors. */
  fail(type: string): void;
};

export type Tracing = {
  /**
   * Does `work` in a span that ends with it, or with its promise. What it throws or rejects with is noted by its code or
   * class alone, as the message may quote an order.
   */
  span<T>(options: SpanOptions, work: (span: Span) => T): T;
  /** What passes the span that we are in on to others. */
  headers(): TraceHeaders | undefined;
  /** What a log line says of the span that we are in. */
  ids(): { trace_id?: string; span_id?: string };
  /** Delivers what has not been, for 2 s at the most. */
  close(): Promise<void>;
};

/** Without settings nothing of OpenTelemetry is loaded, except for its API, which prom-client wants for itself. */
export const openTracing = async (
  settings: TracingSettings | undefined,
  log: Log,
): Promise<Tracing | undefined> => {
  if (!settings) return undefined;
  const { createTracing } = await import('./open-telemetry.ts');
  return createTracing(settings, log);
};

/** Puts spans around a part of the program. Without tracing the part is left as it is, and costs nothing more. */
export const tracedBy =
  (tracing: Tracing | undefined) =>
  <Part>(trace: (tracing: Tracing, part: Part) => Part, part: Part): Part =>
    tracing ? trace(tracing, part) : part;
