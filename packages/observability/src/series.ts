/** One line of a metric: its labels as the format writes them, and its value. */
export interface Series {
  readonly labels: string;
  value: number;
  /** Of a histogram: how many values each bucket took, not those of smaller buckets. */
  readonly buckets?: number[];
  sum: number;
}

/** The series of one metric, bounded in number. */
export interface SeriesStore {
  at(labels: Readonly<Record<string, string>>): Series;
  values(): Iterable<Series>;
}

/** What every label of the series says that takes in what found no room. */
export const OVERFLOW = "(other)";
/** Longest value of a label, in UTF-16 units. */
const MAX_VALUE = 256;
/** Longer labels are written anew each time rather than remembered. */
const MAX_KEY = 1024;
/** Sets of label names that may overflow apart: programs have one for each metric. */
const MAX_OVERFLOWS = 16;

/**
 * Up to `maxSeries` series of their own, in the order of their first use; whatever other labels come then share one more, whose labels
 * all say `(other)`: totals stay right, memory stays bounded.
 */
export function createSeriesStore(maxSeries: number, buckets: number | undefined): SeriesStore {
  const series = new Map<string, Series>();
  // What was written before need not be written again: the runtime gives its labels in one order.
  const seen = new Map<string, Series>();
  const named = (written: string): Series => {
    let found = series.get(written);
    if (found === undefined) {
      found = {
        labels: written,
        value: 0,
        sum: 0,
        ...(buckets === undefined ? undefined : { buckets: new Array<number>(buckets).fill(0) }),
      };
      series.set(written, found);
    }
    return found;
  };
  return {
    at(labels) {
      const key = JSON.stringify(labels);
      const known = seen.get(key);
      if (known !== undefined) return known;
      const written = writeLabels(labels);
      if (series.has(written) || series.size < maxSeries) {
        const found = named(written);
        if (seen.size < maxSeries && key.length <= MAX_KEY) seen.set(key, found);
        return found;
      }
      const other = writeLabels(Object.fromEntries(Object.keys(labels).map((name) => [name, OVERFLOW])));
      return named(series.has(other) || series.size < maxSeries + MAX_OVERFLOWS ? other : "");
    },
    values: () => series.values(),
  };
}

/** `a="1",b="2"`, sorted by name. A label without a value is the same as none. */
export function writeLabels(labels: Readonly<Record<string, string>>): string {
  const written = new Map<string, string>();
  for (const [name, value] of Object.entries(labels)) {
    const given: unknown = value;
    if (given === undefined || given === "") continue;
    const text = typeof given === "string" ? given : (JSON.stringify(given) ?? typeof given);
    written.set(labelName(name), escapeValue(text.slice(0, MAX_VALUE)));
  }
  return [...written]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}="${value}"`)
    .join(",");
}

/** Names with two leading underscores, and `le`, belong to the format. */
function labelName(name: string): string {
  if (/^[a-km-z][a-z]*$/.test(name)) return name;
  const plain = name.replaceAll(/[^a-zA-Z0-9_]/g, "_").replace(/^__+/, "_");
  return plain === "le" || /^[0-9]/.test(plain) || plain === "" ? `_${plain}` : plain;
}

function escapeValue(text: string): string {
  if (!/[\\"\n\ud800-\udfff]/.test(text)) return text;
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll('"', '\\"')
    .replaceAll(/\p{Surrogate}/gu, "\ufffd");
}
