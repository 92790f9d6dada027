import { AixgoError, expectMethods, METRIC, type Metrics, type OptionRules, resolveOptions } from "@aixgo/core";
import { type Attributes, type Meter, type MeterProvider, metrics as registered } from "@opentelemetry/api";
import { ATTRIBUTE, CLIENT_METRIC, CLIENT_SECONDS, isFailure, OPERATION, OWN, providerName, SCHEMA_URL } from "./conventions.ts";
import { isTime, metricInfo, type MetricKind, SECONDS, TOKENS } from "./metric-table.ts";

export interface OpenTelemetryMetricsOptions {
  /** @default the meter `@aixgo/observability` of the provider that is registered when a metric is used */
  readonly meter?: Meter;
  /** Names of metrics of yours that fall as well as rise. All others that are counted are counters. */
  readonly gauges?: readonly string[];
}

export const METRICS_RULES: OptionRules<OpenTelemetryMetricsOptions> = {
  meter: expectMethods("createCounter", "createHistogram", "createUpDownCounter"),
  gauges: (value) => (Array.isArray(value) && value.every((name) => typeof name === "string") ? undefined : "an array of names"),
};

/** What the conventions have names for; all else keeps its own, but for the unit of times. */
const CONVENTIONAL: Readonly<Record<string, string>> = {
  [METRIC.modelDurationMs]: CLIENT_METRIC.duration,
  [METRIC.modelTokens]: CLIENT_METRIC.tokens,
};
const LABELS: Readonly<Record<string, string>> = {
  agent: ATTRIBUTE.agentName,
  model: ATTRIBUTE.requestModel,
  tool: ATTRIBUTE.toolName,
  kind: OWN.callKind,
  step: OWN.turnStep,
};
/** Names of metrics come from code; should they come from data after all, memory is not theirs to fill. */
const MAX_METRICS = 500;

interface Instrument {
  readonly kind: MetricKind;
  record(value: number, labels: Readonly<Record<string, string>>): void;
}

/**
 * Metrics for `withMetrics` that OpenTelemetry exports. Times are in seconds. Requests to models are measured as
 * `gen_ai.client.operation.duration` and `gen_ai.client.token.usage`; the outcome of what failed is `error.type`. How many sets of
 * attributes a metric holds is bounded by the SDK (`aggregationCardinalityLimit`).
 *
 * @throws AixgoError `INVALID_OPTION` for an option that is unknown or does not fit, with its name
 */
export function createOpenTelemetryMetrics(...given: readonly OpenTelemetryMetricsOptions[]): Metrics {
  const options = resolveOptions("createOpenTelemetryMetrics", given, METRICS_RULES);
  const gauges = new Set(options.gauges);
  const instruments = new Map<string, Instrument>();
  let provider: MeterProvider | undefined;
  let { meter } = options;

  /** The instruments of a provider that comes later are its own: what was made before measures nothing. */
  const meterNow = (): Meter => {
    if (options.meter !== undefined) return options.meter;
    const current = registered.getMeterProvider();
    if (meter === undefined || current !== provider) {
      instruments.clear();
      provider = current;
      meter = current.getMeter("@aixgo/observability", undefined, { schemaUrl: SCHEMA_URL });
    }
    return meter;
  };

  const instrumentOf = (name: string, used: "counter" | "histogram"): Instrument => {
    const current = meterNow();
    let instrument = instruments.get(name);
    if (instrument === undefined) {
      if (instruments.size >= MAX_METRICS)
        throw new AixgoError(
          "INVALID_INPUT",
          `metric ${JSON.stringify(name.slice(0, 100))}: there are ${MAX_METRICS} metrics already: names must not be made of data`,
        );
      const kind = metricInfo(name)?.kind ?? (used === "counter" && gauges.has(name) ? "gauge" : used);
      instrument = createInstrument(current, name, kind);
      instruments.set(name, instrument);
    }
    if ((instrument.kind === "histogram") !== (used === "histogram"))
      throw new AixgoError(
        "INVALID_INPUT",
        `metric ${JSON.stringify(name)} is a ${instrument.kind}: ${used === "histogram" ? "count it, do not observe it" : "observe it, do not count it"}`,
      );
    return instrument;
  };

  return {
    count(name, by, labels) {
      const instrument = instrumentOf(name, "counter");
      if (by < 0 && instrument.kind === "counter")
        throw new AixgoError(
          "INVALID_INPUT",
          `metric ${JSON.stringify(name)}: a counter only rises: name it in the option "gauges" if it may fall`,
        );
      instrument.record(by, labels);
    },
    observe: (name, value, labels) => instrumentOf(name, "histogram").record(value, labels),
  };
}

function createInstrument(meter: Meter, name: string, kind: MetricKind): Instrument {
  const info = metricInfo(name);
  const shown = CONVENTIONAL[name] ?? (isTime(name) ? name.slice(0, -3) : name);
  const unit = isTime(name) ? "s" : info === undefined ? "1" : `{${info.unit}}`;
  const described = { unit, ...(info === undefined ? undefined : { description: info.description }) };
  if (kind === "counter") {
    const counter = meter.createCounter(shown, described);
    return { kind, record: (value, labels) => counter.add(value, attributesOf(name, labels)) };
  }
  if (kind === "gauge") {
    const gauge = meter.createUpDownCounter(shown, described);
    return { kind, record: (value, labels) => gauge.add(value, attributesOf(name, labels)) };
  }
  const bounds = info?.unit === "token" ? TOKENS : name === METRIC.modelDurationMs ? CLIENT_SECONDS : SECONDS;
  const histogram = meter.createHistogram(shown, { ...described, advice: { explicitBucketBoundaries: [...bounds] } });
  const perUnit = isTime(name) ? 1000 : 1;
  return { kind, record: (value, labels) => histogram.record(value / perUnit, attributesOf(name, labels)) };
}

function attributesOf(name: string, labels: Readonly<Record<string, string>>): Attributes {
  if (metricInfo(name) === undefined) return labels;
  const attributes: Attributes = {};
  for (const [label, value] of Object.entries(labels)) {
    if (label === "provider") attributes[ATTRIBUTE.providerName] = providerName(value);
    else if (label === "type") attributes[ATTRIBUTE.tokenType] = value;
    else if (label !== "outcome") attributes[LABELS[label] ?? label] = value;
    else if (value !== "ok") attributes[isFailure(value) ? ATTRIBUTE.errorType : OWN.outcome] = value;
  }
  if (CONVENTIONAL[name] !== undefined) attributes[ATTRIBUTE.operationName] = OPERATION.chat;
  return attributes;
}
