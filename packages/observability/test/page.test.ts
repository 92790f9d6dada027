import { readFileSync } from "node:fs";
import { SPAN } from "@aixgo/core";
import { expect, it } from "vitest";
import { GEN_AI_CONVENTIONS_VERSION, ATTRIBUTE, OWN } from "../src/conventions.ts";
import { METRICS } from "../src/index.ts";
import { createOpenTelemetryMetrics } from "../src/opentelemetry.ts";
import { createPrometheusMetrics } from "../src/prometheus.ts";
import { readExposition } from "./exposition.ts";
import { measured } from "./telemetry-sdk.ts";

const page = readFileSync(new URL("../../../docs/observability.md", import.meta.url), "utf8");

it("the page lists every metric, as both worlds show it", async () => {
  const rows = ["| runtime | Prometheus | OpenTelemetry | kind | labels | what |", "|---|---|---|---|---|---|"];
  for (const { name, kind, labels, description } of METRICS) {
    const sdk = measured();
    const metrics = [createPrometheusMetrics(), createOpenTelemetryMetrics({ meter: sdk.provider.getMeter("test") })] as const;
    for (const each of metrics) {
      if (kind === "histogram") each.observe(name, 1, {});
      else each.count(name, 1, {});
    }
    const [prometheus] = readExposition(metrics[0].text()).families.keys();
    const [openTelemetry] = await sdk.names();
    await sdk.provider.shutdown();
    rows.push(
      `| \`${name}\` | \`${prometheus}\` | \`${openTelemetry}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${description} |`,
    );
  }
  expect(page).toContain(`\n${rows.join("\n")}\n`);
});

it("the page names no attribute that there is not, and every one of a span's begin and end", () => {
  const known = new Set<string>([...Object.values(ATTRIBUTE), ...Object.values(OWN)]);
  const spans = page.slice(page.indexOf("| span |"), page.indexOf("## Metrics"));
  const named = [...spans.matchAll(/`((?:gen_ai|aixgo\.(?:call|turn))\.[a-z_.]+|aixgo\.outcome|error\.type)`/g)].map(
    ([, name]) => name as string,
  );
  expect(named.filter((name) => !known.has(name) && !Object.values<string>(SPAN).includes(name))).toEqual([]);
  for (const name of Object.values(OWN)) expect(named).toContain(name);
});

it("the page names the version of the conventions", () => {
  expect(page).toContain(`**${GEN_AI_CONVENTIONS_VERSION}**`);
});
