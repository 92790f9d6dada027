import { AixgoError, expectCount, type Metrics, type OptionRules, resolveOptions } from "@aixgo/core";
import { isTime, metricInfo, type MetricKind, SECONDS, TOKENS } from "./metric-table.ts";
import { createSeriesStore, type Series, type SeriesStore } from "./series.ts";

export interface PrometheusOptions {
  /** In front of every name: letters, digits and `_`, not a digit first. @default none; names begin with `aixgo_` */
  readonly prefix?: string;
  /** Upper bounds of histograms of times, in seconds, rising. @default from 5 ms to 5 minutes */
  readonly buckets?: readonly number[];
  /** The same for counts of tokens. @default powers of 4, up to 67108864 */
  readonly tokenBuckets?: readonly number[];
  /** Sets of labels that one metric holds; what comes beyond is counted under labels that all say `(other)`. @default 1000 */
  readonly maxSeries?: number;
  /** Names of metrics of yours that fall as well as rise. All others that are counted are counters. */
  readonly gauges?: readonly string[];
}

export interface PrometheusMetrics extends Metrics {
  /** For the header `content-type` of the answer to a scrape. */
  readonly contentType: string;
  /** All there is, in the text format 0.0.4. Ends with a newline: what another registry wrote may follow. */
  text(): string;
}

/** Names of metrics come from code; should they come from data after all, memory is not theirs to fill. */
const MAX_METRICS = 500;

const RULES: OptionRules<PrometheusOptions> = {
  prefix: (value) =>
    typeof value === "string" && /^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/.test(value)
      ? undefined
      : "1 to 64 letters, digits and _, not a digit first",
  buckets: expectBounds,
  tokenBuckets: expectBounds,
  maxSeries: expectCount,
  gauges: (value) => (Array.isArray(value) && value.every((name) => typeof name === "string") ? undefined : "an array of names"),
};

interface Family {
  readonly name: string;
  readonly kind: MetricKind;
  readonly help: string;
  readonly bounds: readonly number[];
  readonly perUnit: number;
  readonly store: SeriesStore;
}

/**
 * Metrics for `withMetrics` that a Prometheus server can scrape: `text()` is the answer. Times are in seconds (`…_seconds`), counters
 * end with `_total`. Other metrics may come through the same seam: a name that is not ours is a counter where it is counted, a
 * histogram where it is observed.
 *
 * @throws AixgoError `INVALID_OPTION` for an option that is unknown or does not fit, with its name
 */
export function createPrometheusMetrics(...given: readonly PrometheusOptions[]): PrometheusMetrics {
  const options = resolveOptions("createPrometheusMetrics", given, RULES);
  const { prefix = "", buckets = SECONDS, tokenBuckets = TOKENS, maxSeries = 1000 } = options;
  const gauges = new Set(options.gauges);
  const families = new Map<string, Family>();
  const taken = new Set<string>();

  const familyOf = (name: string, used: "counter" | "histogram"): Family => {
    let family = families.get(name);
    if (family === undefined) {
      const info = metricInfo(name);
      const kind = info?.kind ?? (used === "counter" && gauges.has(name) ? "gauge" : used);
      const shown = prefix + prometheusName(name, kind);
      if (families.size >= MAX_METRICS) throw refused(name, `there are ${MAX_METRICS} metrics already: names must not be made of data`);
      const lines = kind === "histogram" ? [shown, ...["_bucket", "_sum", "_count"].map((end) => shown + end)] : [shown];
      const clash = lines.find((line) => taken.has(line));
      if (clash !== undefined) throw refused(name, `another metric is shown as ${clash} already: rename one of them`);
      const bounds = kind !== "histogram" ? [] : info?.unit === "token" ? tokenBuckets : buckets;
      const store = createSeriesStore(maxSeries, kind === "histogram" ? bounds.length : undefined);
      family = { name: shown, kind, help: info?.description ?? name, bounds, perUnit: isTime(name) ? 1000 : 1, store };
      families.set(name, family);
      for (const line of lines) taken.add(line);
    }
    if ((family.kind === "histogram") !== (used === "histogram"))
      throw refused(
        name,
        `it is a ${family.kind}: ${used === "histogram" ? "count it, do not observe it" : "observe it, do not count it"}`,
      );
    return family;
  };

  return {
    contentType: "text/plain; version=0.0.4; charset=utf-8",
    count(name, by, labels) {
      const family = familyOf(name, "counter");
      if (!Number.isFinite(by)) throw refused(name, `it was counted by ${by}, which is no number`);
      if (by < 0 && family.kind === "counter")
        throw refused(name, 'a counter only rises: name it in the option "gauges" of createPrometheusMetrics if it may fall');
      family.store.at(labels).value += by;
    },
    observe(name, value, labels) {
      const family = familyOf(name, "histogram");
      if (!Number.isFinite(value)) throw refused(name, `${value} was observed, which is no number`);
      const seen = value / family.perUnit;
      const series = family.store.at(labels);
      series.value += 1;
      series.sum += seen;
      const bucket = family.bounds.findIndex((bound) => seen <= bound);
      if (bucket >= 0 && series.buckets !== undefined) series.buckets[bucket] = (series.buckets[bucket] ?? 0) + 1;
    },
    text: () => [...families.values()].map(write).join(""),
  };
}

/** `aixgo.call.duration_ms` is `aixgo_call_duration_seconds`, `aixgo.call.count` is `aixgo_call_total`. */
function prometheusName(name: string, kind: MetricKind): string {
  const plain = name.replaceAll(/[^a-zA-Z0-9_]/g, "_").replace(/^(?=[0-9])/, "_");
  if (kind === "counter") return `${plain.replace(/_(?:count|total)$/, "")}_total`;
  return isTime(name) ? plain.replace(/_ms$/, "_seconds") : plain;
}

function write({ name, kind, help, bounds, store }: Family): string {
  let text = `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n# TYPE ${name} ${kind}\n`;
  for (const series of store.values())
    text += kind === "histogram" ? writeHistogram(name, bounds, series) : line(name, series.labels, series.value);
  return text;
}

function writeHistogram(name: string, bounds: readonly number[], { labels, buckets = [], value, sum }: Series): string {
  const before = labels === "" ? "" : `${labels},`;
  let below = 0;
  let text = "";
  for (const [index, bound] of bounds.entries()) {
    below += buckets[index] ?? 0;
    text += line(`${name}_bucket`, `${before}le="${bound}"`, below);
  }
  return `${text}${line(`${name}_bucket`, `${before}le="+Inf"`, value)}${line(`${name}_sum`, labels, sum)}${line(`${name}_count`, labels, value)}`;
}

function line(name: string, labels: string, value: number): string {
  return `${name}${labels === "" ? "" : `{${labels}}`} ${value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : value}\n`;
}

function expectBounds(value: unknown): string | undefined {
  const rising =
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= 100 &&
    value.every((bound, index) => Number.isFinite(bound) && (index === 0 || (bound as number) > (value[index - 1] as number)));
  return rising ? undefined : "an array of 1 to 100 rising numbers";
}

function refused(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_INPUT", `metric ${JSON.stringify(name.slice(0, 100))}: ${problem}`);
}
