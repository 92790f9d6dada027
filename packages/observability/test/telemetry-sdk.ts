import { context, type Span as ApiSpan, trace, type Tracer } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll } from "vitest";

/** What every Node SDK of OpenTelemetry registers. */
export function useContextManager(): void {
  beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
  afterAll(() => context.disable());
}

export interface Traced {
  readonly tracer: Tracer;
  readonly provider: BasicTracerProvider;
  /** Those that ended, in the order of their begin. */
  spans(): ReadableSpan[];
  /** `parent > child: child` … one line for each span, with its status. */
  tree(): string[];
  within<T>(name: string, body: (span: ApiSpan) => Promise<T>): Promise<T>;
}

export function traced(sampler?: Sampler): Traced {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
    ...(sampler === undefined ? undefined : { sampler }),
  });
  const tracer = provider.getTracer("test");
  const order: string[] = [];
  const ordered: Tracer = {
    startSpan: (...given) => tracer.startSpan(...given),
    // oxlint-disable-next-line typescript/no-explicit-any -- an overload of three shapes, passed on as it came
    startActiveSpan: (name: string, options: any, body: any) =>
      tracer.startActiveSpan(name, options as object, (span: ApiSpan) => {
        order.push(span.spanContext().spanId);
        return (body as (span: ApiSpan) => unknown)(span);
      }),
  } as Tracer;
  const spans = (): ReadableSpan[] =>
    exporter.getFinishedSpans().toSorted((a, b) => order.indexOf(a.spanContext().spanId) - order.indexOf(b.spanContext().spanId));
  return {
    tracer: ordered,
    provider,
    spans,
    tree() {
      const all = spans();
      const path = (span: ReadableSpan): string => {
        const parent = all.find((each) => each.spanContext().spanId === span.parentSpanContext?.spanId);
        return parent === undefined ? span.name : `${path(parent)} > ${span.name}`;
      };
      return all.map(path);
    },
    within: (name, body) => ordered.startActiveSpan(name, {}, async (span) => body(span).finally(() => span.end())),
  };
}

export interface Measured {
  readonly provider: MeterProvider;
  /** The points of one metric: value or sum and count, with attributes. */
  points(
    name: string,
  ): Promise<
    { readonly unit: string; readonly points: { readonly value: unknown; readonly attributes: Record<string, unknown> }[] } | undefined
  >;
  names(): Promise<string[]>;
}

export function measured(): Measured {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  const collected = async () => {
    exporter.reset();
    await reader.forceFlush();
    return exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  };
  return {
    provider,
    async points(name) {
      const found = (await collected()).find(({ descriptor }) => descriptor.name === name);
      return found === undefined
        ? undefined
        : {
            unit: found.descriptor.unit,
            points: found.dataPoints.map(({ value, attributes }) => ({ value, attributes: { ...attributes } })),
          };
    },
    names: async () => (await collected()).map(({ descriptor }) => descriptor.name).sort(),
  };
}

export function unregister(): void {
  trace.disable();
}
