import { type OptionRules, resolveOptions, type RuntimeOption } from "@aixgo/core";
import { createOpenTelemetryMetrics, METRICS_RULES, type OpenTelemetryMetricsOptions } from "./opentelemetry-metrics.ts";
import { createOpenTelemetryTracing, type OpenTelemetryTracingOptions, TRACING_RULES } from "./opentelemetry-tracing.ts";

export interface OpenTelemetryOptions extends OpenTelemetryTracingOptions, OpenTelemetryMetricsOptions {}

const RULES: OptionRules<OpenTelemetryOptions> = { ...TRACING_RULES, ...METRICS_RULES };

/**
 * Traces and metrics of a runtime through OpenTelemetry, for `createRuntime`. Without a tracer and a meter they are those of the
 * providers that the application has registered with `@opentelemetry/api`, also later.
 *
 * @throws AixgoError `INVALID_OPTION` for an option that is unknown or does not fit, with its name
 */
export function withOpenTelemetry(...given: readonly OpenTelemetryOptions[]): RuntimeOption {
  const { tracer, captureContent, maxContentBytes, meter, gauges } = resolveOptions("withOpenTelemetry", given, RULES);
  const tracing = createOpenTelemetryTracing(
    tracer === undefined ? {} : { tracer },
    captureContent === undefined ? {} : { captureContent },
    maxContentBytes === undefined ? {} : { maxContentBytes },
  );
  const metrics = createOpenTelemetryMetrics(meter === undefined ? {} : { meter }, gauges === undefined ? {} : { gauges });
  return (options) => ({ ...options, tracing, metrics });
}
