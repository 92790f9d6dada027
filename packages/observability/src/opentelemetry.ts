export { withOpenTelemetry } from "./opentelemetry-option.ts";
export type { OpenTelemetryOptions } from "./opentelemetry-option.ts";
export { createOpenTelemetryTracing, DEFAULT_MAX_CONTENT_BYTES } from "./opentelemetry-tracing.ts";
export type { OpenTelemetryTracingOptions } from "./opentelemetry-tracing.ts";
export { createOpenTelemetryMetrics } from "./opentelemetry-metrics.ts";
export type { OpenTelemetryMetricsOptions } from "./opentelemetry-metrics.ts";
export { GEN_AI_CONVENTIONS_VERSION } from "./conventions.ts";
