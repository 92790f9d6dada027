import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { type Row, table } from "./row.ts";
import { appendRows } from "./rows/append.ts";
import { branchRows } from "./rows/branch.ts";
import { createRows } from "./rows/create.ts";
import { promiseRows } from "./rows/promise.ts";
import { readRows } from "./rows/read.ts";
import { runtimeRows } from "./rows/runtime.ts";
import { storeRows } from "./rows/store.ts";

const GROUPS: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  promise: promiseRows,
  append: appendRows,
  create: createRows,
  read: readRows,
  branch: branchRows,
  store: storeRows,
  runtime: runtimeRows,
};
const RESULTS = fileURLToPath(new URL("../results.json", import.meta.url));

const wanted = process.argv.slice(2).filter((name) => name !== "--");
const unknown = wanted.find((name) => !(name in GROUPS));
if (unknown !== undefined) {
  process.stderr.write(`there is no group ${JSON.stringify(unknown)}: npm run bench -- ${Object.keys(GROUPS).join(" ")}\n`);
  process.exit(2);
}

const rows: Row[] = [];
for (const [name, measure] of Object.entries(GROUPS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  process.stderr.write(`${name} …\n`);
  rows.push(...(await measure()));
}
process.stdout.write(`${table(rows)}\n\nmedians in µs (space: bytes); ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}\n`);
if (wanted.length === 0) writeFileSync(RESULTS, `${JSON.stringify(rows, undefined, 2)}\n`);
