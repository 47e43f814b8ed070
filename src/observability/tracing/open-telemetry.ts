import { AsyncLocalStorage } from 'node:async_hooks';
import { hostname } from 'node:os';
import {
  type Context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { stopTimeoutsMs } from '../../async/stop-timeouts.ts';
import { withTimeout } from '../../async/timeouts.ts';
import { errorText } from '../error-text.ts';
import type { Log } from '../log.ts';
import type { Span, SpanOptions, TraceHeaders, Tracing, TracingSettings } from './tracing.ts';

/** Loaded only when tracing is on: it takes about 15 MB and 100 ms. */

const maxLinks = 100;

const kinds = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

const propagator = new W3CTraceContextPropagator();

/** One per thread. While the collector is unavailable at most 2048 spans are buffered and the rest are dropped; nothing blocks. */
export const createTracing = (settings: TracingSettings, log: Log): Tracing => {
  const delivery = createDelivery(log);
  const exporter = new OTLPTraceExporter({ url: `${settings.endpoint.replace(/\/$/, '')}/v1/traces` });
  const provider = new TracerProvider({
    resource: resourceOf(settings.service),
    sampler: samplerOf(settings),
    spanProcessors: [new BatchSpanProcessor({ exporter: reporting(exporter, delivery) })],
  });
  const tracer = provider.getTracer('order-lookup');
  const current = new AsyncLocalStorage<Context>();

  const begin = ({ name, kind, attributes, from = [] }: SpanOptions, within: Context | undefined) => {
    const { parent, links } = relatives(from);
    const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : (within ?? ROOT_CONTEXT);
    const span = tracer.startSpan(
      name,
      { kind: kinds[kind], attributes, links: links.map((link) => ({ context: link })) },
      context,
    );
    return { span, context: trace.setSpan(context, span) };
  };

  const ids = () => {
    const span = trace.getSpanContext(current.getStore() ?? ROOT_CONTEXT);
    return span ? { trace_id: span.traceId, span_id: span.spanId } : {};
  };

  return {
    span<T>(options: SpanOptions, work: (span: Span) => T): T {
      const within = current.getStore();
      if (options.kind === 'client' && !within) return work(noSpan);
      const { span, context } = begin(options, within);
      const handle = handleOf(span);
      const failed = (error: unknown) => {
        handle.fail(typeOf(error));
        span.end();
        throw error;
      };
      let result: T;
      try {
        result = current.run(context, work, handle);
      } catch (error) {
        return failed(error);
      }
      if (result instanceof Promise)
        return result.then((value) => {
          span.end();
          return value;
        }, failed) as T;
      span.end();
      return result;
    },

    headers() {
      const carrier: Partial<TraceHeaders> = {};
      propagator.inject(current.getStore() ?? ROOT_CONTEXT, carrier, defaultTextMapSetter);
      return carrier.traceparent ? (carrier as TraceHeaders) : undefined;
    },

    ids,

    async close() {
      await withTimeout(stopTimeoutsMs.traces, provider.shutdown()).catch(delivery.markDown);
    },
  };
};

const noSpan: Span = { set() {}, fail() {} };

const handleOf = (span: OtelSpan): Span => ({
  set: (attributes) => void span.setAttributes(attributes),
  fail(type) {
    span.setAttribute('error.type', type);
    span.setStatus({ code: SpanStatusCode.ERROR });
  },
});

const typeOf = (error: unknown): string => {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return String(code ?? name ?? 'unknown');
};

/** The first sampled context is the parent. An unsampled one is the parent only if none is sampled: then nothing is recorded. */
const relatives = (
  from: Iterable<TraceHeaders>,
): { parent: SpanContext | undefined; links: SpanContext[] } => {
  const sampled = new Map<string, SpanContext>();
  let other: SpanContext | undefined;
  for (const headers of from) {
    if (sampled.has(headers.traceparent)) continue;
    const span = trace.getSpanContext(propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter));
    if (!span) continue;
    if (span.traceFlags & TraceFlags.SAMPLED) sampled.set(headers.traceparent, span);
    else other ??= span;
    if (sampled.size > maxLinks) break;
  }
  const [parent, ...links] = sampled.values();
  return { parent: parent ?? other, links };
};

const samplerOf = ({ sampler, samplerShare }: TracingSettings) => {
  const root = sampler.endsWith('always_on')
    ? new AlwaysOnSampler()
    : sampler.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(samplerShare);
  return sampler.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
};

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are merged last and take precedence. */
const resourceOf = (service: string) =>
  defaultResource()
    .merge(
      resourceFromAttributes({
        'service.name': service,
        'host.name': hostname(),
        'process.pid': process.pid,
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }));

/** Logs once when the export of spans starts to fail, and once when it succeeds again. */
const createDelivery = (log: Log) => {
  let isDown = false;
  return {
    markUp() {
      if (isDown) log.info('traces are delivered again');
      isDown = false;
    },
    markDown(error: unknown) {
      if (!isDown) log.warn({ reason: errorText(error) }, 'traces are not delivered');
      isDown = true;
    },
  };
};

const reporting = (exporter: SpanExporter, delivery: ReturnType<typeof createDelivery>): SpanExporter => ({
  export: (spans, done) =>
    exporter.export(spans, (result) => {
      if (result.code === ExportResultCode.SUCCESS) delivery.markUp();
      else delivery.markDown(result.error);
      done(result);
    }),
  shutdown: () => exporter.shutdown(),
  forceFlush: async () => exporter.forceFlush?.(),
});
