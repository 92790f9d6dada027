export { withRedaction } from "./redacting-logger.ts";
export type { RedactionOptions } from "./redacting-logger.ts";
export { METRICS } from "./metric-table.ts";
export type { MetricInfo, MetricKind, MetricUnit } from "./metric-table.ts";
