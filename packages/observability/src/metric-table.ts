import { METRIC } from "@aixgo/core";

/** A counter only rises, a gauge rises and falls, a histogram takes values apart. */
export type MetricKind = "counter" | "gauge" | "histogram";
export type MetricUnit = "call" | "message" | "request" | "run" | "token" | "ms";

export interface MetricInfo {
  /** As the runtime names it. */
  readonly name: string;
  readonly kind: MetricKind;
  readonly unit: MetricUnit;
  readonly labels: readonly string[];
  readonly description: string;
}

const CALL = ["agent", "kind", "outcome"];
const MODEL = ["agent", "provider", "model", "outcome"];
const TOOL = ["agent", "tool", "outcome"];

/** All that the runtime and its agents measure. The page `docs/observability.md` is held to it by a test. */
export const METRICS: readonly MetricInfo[] = Object.freeze([
  { name: METRIC.count, kind: "counter", unit: "call", labels: CALL, description: "Calls that were answered, refused ones included." },
  { name: METRIC.durationMs, kind: "histogram", unit: "ms", labels: CALL, description: "From a call to its answer." },
  { name: METRIC.active, kind: "gauge", unit: "call", labels: ["agent", "kind"], description: "Calls in which an agent works now." },
  {
    name: METRIC.abandoned,
    kind: "counter",
    unit: "call",
    labels: ["agent", "kind"],
    description: "Agents that went on working after their caller was answered.",
  },
  {
    name: METRIC.mailSent,
    kind: "counter",
    unit: "message",
    labels: ["agent", "outcome"],
    description: "Messages to mailboxes, refused ones included.",
  },
  { name: METRIC.mailReceived, kind: "counter", unit: "message", labels: ["agent"], description: "Messages that a receiver was given." },
  {
    name: METRIC.mailDropped,
    kind: "counter",
    unit: "message",
    labels: ["agent"],
    description: "Messages that nobody had received when their mailbox was closed.",
  },
  { name: METRIC.modelCount, kind: "counter", unit: "request", labels: MODEL, description: "Requests to models, each attempt of its own." },
  {
    name: METRIC.modelDurationMs,
    kind: "histogram",
    unit: "ms",
    labels: MODEL,
    description: "From a request to a model to the end of its answer.",
  },
  {
    name: METRIC.modelTokens,
    kind: "histogram",
    unit: "token",
    labels: ["agent", "provider", "model", "type"],
    description: "Tokens of a request to a model, as the provider counts them.",
  },
  { name: METRIC.toolCount, kind: "counter", unit: "run", labels: TOOL, description: "Runs of tools." },
  { name: METRIC.toolDurationMs, kind: "histogram", unit: "ms", labels: TOOL, description: "How long tools ran." },
  {
    name: METRIC.turnDurationMs,
    kind: "histogram",
    unit: "ms",
    labels: ["agent", "step", "outcome"],
    description: "What a turn asked of its session's store; the step open includes the waiting for other turns.",
  },
] satisfies readonly MetricInfo[]);

const byName: ReadonlyMap<string, MetricInfo> = new Map(METRICS.map((info) => [info.name, info]));

/** Of a metric of our own; undefined for those of others, which may come through the same seam. */
export function metricInfo(name: string): MetricInfo | undefined {
  return byName.get(name);
}

/** Upper bounds for times, in seconds: from a hit in a store to an agent that works for minutes. */
export const SECONDS: readonly number[] = Object.freeze([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]);
/** Upper bounds for counts of tokens: those of the OpenTelemetry conventions. */
export const TOKENS: readonly number[] = Object.freeze(Array.from({ length: 14 }, (_, power) => 4 ** power));

/** Times come in milliseconds and leave in seconds, which both worlds want. */
export function isTime(name: string): boolean {
  return name.endsWith("_ms");
}
