/** One line of values. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Exposition {
  /** Type and help by the name of the metric. */
  readonly families: ReadonlyMap<string, { readonly type: string; readonly help: string }>;
  readonly samples: readonly Sample[];
  /** Of the only sample with this name and at least these labels. */
  value(name: string, labels?: Readonly<Record<string, string>>): number;
}

const VALUE = /^(?:[+-]Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=[a-zA-Z_])|$)/y;

/**
 * Reads the text format 0.0.4 by its rules, and throws where one is broken: names, escapes, numbers, one HELP and TYPE for each metric
 * ahead of its samples, samples of a metric together, no sample twice, histograms whose buckets rise to `+Inf` and agree with `_count`.
 */
export function readExposition(text: string): Exposition {
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, { type: string; help: string }>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  let current: { readonly name: string; readonly help: string } | undefined;
  let typed = "";
  for (const line of text.split("\n").slice(0, -1)) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/s.exec(line);
    if (comment !== null) {
      const [, word, name = "", rest = ""] = comment;
      if (word === "HELP") {
        if (families.has(name)) throw new Error(`${name} comes twice`);
        current = { name, help: rest };
      } else {
        if (current?.name !== name || !/^(?:counter|gauge|histogram)$/.test(rest)) throw new Error(`a bad TYPE: ${line}`);
        families.set(name, { type: rest, help: current.help });
        typed = name;
      }
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)$/s.exec(line);
    if (sample === null) throw new Error(`no sample: ${line}`);
    const [, name = "", inner, value = ""] = sample;
    const family = families.get(typed);
    const isOwn =
      name === typed ||
      (family?.type === "histogram" && name.startsWith(typed) && /^_(?:bucket|sum|count)$/.test(name.slice(typed.length)));
    if (!isOwn || !VALUE.test(value)) throw new Error(`a sample that does not belong to ${typed}, or no number: ${line}`);
    const labels = inner === undefined ? {} : readLabels(inner);
    const key = JSON.stringify([name, sortedLabels(labels)]);
    if (seen.has(key)) throw new Error(`twice: ${line}`);
    seen.add(key);
    samples.push({ name, labels, value: Number(value.replace("Inf", "Infinity")) });
  }
  for (const [name, { type }] of families) if (type === "histogram") checkHistogram(name, samples);
  return {
    families,
    samples,
    value(name, labels = {}) {
      const found = samples.filter(
        (each) => each.name === name && Object.entries(labels).every(([label, value]) => each.labels[label] === value),
      );
      if (found.length !== 1) throw new Error(`${found.length} samples are ${name} ${JSON.stringify(labels)}`);
      return found[0]?.value as number;
    },
  };
}

/** In one order, so that sets of labels can be compared. */
export function sortedLabels(labels: Readonly<Record<string, string>>): (readonly [string, string])[] {
  return Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
}

function readLabels(inner: string): Record<string, string> {
  const labels = new Map<string, string>();
  LABEL.lastIndex = 0;
  let end = 0;
  for (let label = LABEL.exec(inner); label !== null; label = LABEL.exec(inner)) {
    const [, name = "", value = ""] = label;
    if (labels.has(name)) throw new Error(`the label ${name} comes twice: ${inner}`);
    labels.set(
      name,
      value.replaceAll(/\\(.)/g, (_all, next: string) => (next === "n" ? "\n" : next)),
    );
    end = LABEL.lastIndex;
    if (end === inner.length) break;
  }
  if (end !== inner.length || inner === "") throw new Error(`bad labels: ${inner}`);
  return Object.fromEntries(labels);
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const groups = new Map<string, { bounds: number[]; counts: number[]; count?: number; sum?: number }>();
  for (const { name: of, labels, value } of samples) {
    if (!of.startsWith(`${name}_`)) continue;
    const { le, ...rest } = labels;
    const key = JSON.stringify(sortedLabels(rest));
    const group = groups.get(key) ?? { bounds: [], counts: [] };
    groups.set(key, group);
    if (of === `${name}_count`) group.count = value;
    else if (of === `${name}_sum`) group.sum = value;
    else if (of === `${name}_bucket`) {
      group.bounds.push(Number(le?.replace("Inf", "Infinity")));
      group.counts.push(value);
    }
  }
  for (const [key, { bounds, counts, count, sum }] of groups) {
    const rising = (list: readonly number[], strictly: boolean): boolean =>
      list.every((each, index) => index === 0 || (strictly ? each > (list[index - 1] as number) : each >= (list[index - 1] as number)));
    if (!rising(bounds, true) || !rising(counts, false) || bounds.at(-1) !== Infinity || counts.at(-1) !== count || sum === undefined)
      throw new Error(`the histogram ${name} ${key} does not hold together`);
  }
}
