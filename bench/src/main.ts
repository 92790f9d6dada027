import { writeDocument } from "./document/write.ts";
import type { Curve, Finding, Grouped } from "./finding.ts";
import { keepResults, thisRun } from "./results.ts";
import { appendRows } from "./rows/append.ts";
import { branchRows } from "./rows/branch.ts";
import { catalogRows } from "./rows/catalog.ts";
import { fileContentionRows } from "./rows/contention.ts";
import { createRows } from "./rows/create.ts";
import { growthRows } from "./rows/growth.ts";
import { memoryRows } from "./rows/memory.ts";
import { promiseRows } from "./rows/promise.ts";
import { readRows } from "./rows/read.ts";
import { runtimeRows } from "./rows/runtime.ts";
import { postgresRows, redisRows } from "./rows/servers.ts";
import { fileTurnRows } from "./rows/turns.ts";
import { columns, number, table } from "./table.ts";

const GROUPS: Readonly<Record<string, () => Promise<readonly Finding[]>>> = {
  promise: promiseRows,
  append: appendRows,
  create: createRows,
  read: readRows,
  branch: branchRows,
  catalog: catalogRows,
  runtime: runtimeRows,
  turns: fileTurnRows,
  processes: fileContentionRows,
  redis: redisRows,
  postgres: postgresRows,
  growth: growthRows,
  memory: memoryRows,
};

const wanted = process.argv.slice(2).filter((name) => name !== "--");
const unknown = wanted.find((name) => !Object.hasOwn(GROUPS, name));
if (unknown !== undefined) {
  process.stderr.write(`there is no group ${JSON.stringify(unknown)}: npm run bench -- ${Object.keys(GROUPS).join(" ")}\n`);
  process.exit(2);
}

const found: Grouped[] = [];
const failed: string[] = [];
for (const [name, measure] of Object.entries(GROUPS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  process.stderr.write(`${name} …\n`);
  try {
    found.push(...(await measure()).map((each) => ({ ...each, group: name })));
  } catch (error) {
    failed.push(name);
    process.stderr.write(`${name} was not measured: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  }
}
const run = thisRun();
process.stdout.write(`${table(found.filter((each) => each.kind === "row"))}\n`);
for (const curve of found.filter((each) => each.kind === "curve")) process.stdout.write(`\n${shown(curve)}\n`);
process.stdout.write(`\nmedians; ${run.node}, ${run.processors}, ${run.system}\n`);
if (failed.length > 0) {
  process.stderr.write(`not measured: ${failed.join(", ")}; bench/results.json stays as it was\n`);
  process.exitCode = 1;
} else if (wanted.length === 0) {
  keepResults({ floors: { run, findings: found } });
  await writeDocument();
}

function shown({ what, unit, over, points }: Curve): string {
  return columns([
    [`${what}: ${over}`, ...points.map(({ size }) => size.toLocaleString("en-US"))],
    [`median, ${unit}`, ...points.map(({ ours }) => number(ours.median))],
    [`p99, ${unit}`, ...points.map(({ ours }) => number(ours.p99))],
  ]);
}
