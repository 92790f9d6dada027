export { createPrometheusMetrics } from "./prometheus-metrics.ts";
export type { PrometheusMetrics, PrometheusOptions } from "./prometheus-metrics.ts";
