import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { seedIn } from "./random.ts";
import { keptRows, shownTable, type KeptRow } from "./result.ts";

/**
 * `npm run test:faults`: runs the rows, shows their table and keeps it in `results.json`.
 *
 *     --long            the long sizes: hours
 *     --seed <number>   the plan of an earlier run
 *     --row <text>      only rows whose names hold this, such as R2
 *     --no-record       leaves results.json as it is
 */
const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
const FILE = join(HERE, "results.json");

interface Results {
  /** Of the last run of each size. */
  readonly ci: readonly KeptRow[];
  readonly long: readonly KeptRow[];
}

const values = options();

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
const args = [
  vitest,
  "run",
  "--root",
  HERE,
  ...(values.row === undefined ? [] : ["--testNamePattern", values.row.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&")]),
];
const child = spawn(process.execPath, args, {
  stdio: "inherit",
  env: {
    ...process.env,
    ...(values.long === true ? { AIXGO_LONG: "1" } : {}),
    ...(values.seed === undefined ? {} : { AIXGO_FAULTS_SEED: values.seed }),
  },
});
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
const [code] = (await once(child, "exit")) as [number | null];
const rows = keptRows();
process.stdout.write(`\n${shownTable(rows)}\n`);
if (rows.length > 0 && values["no-record"] !== true) record(rows);
process.exitCode = code ?? 1;
if (rows.length === 0 && code === 0) {
  const which =
    values.row === undefined ? "" : `: the names of rows that can run here hold no ${JSON.stringify(values.row)}, such as R1 or R12`;
  process.stderr.write(`aixgo: no row was run${which}\n`);
  process.exitCode = 2;
}

function options(): { readonly long?: boolean; readonly seed?: string; readonly row?: string; readonly "no-record"?: boolean } {
  try {
    const { values } = parseArgs({
      options: { long: { type: "boolean" }, seed: { type: "string" }, row: { type: "string" }, "no-record": { type: "boolean" } },
    });
    if (values.seed !== undefined) seedIn(values.seed, "--seed");
    return values;
  } catch (error) {
    process.stderr.write(
      `aixgo: ${error instanceof Error ? error.message : String(error)}; there are --long, --seed <number>, --row <text>, --no-record\n`,
    );
    process.exit(2);
  }
}

/** The rows of this run take the place of those of their size. */
function record(fresh: readonly KeptRow[]): void {
  const last = JSON.parse(readFileSync(FILE, "utf8")) as Results;
  const merged = (size: keyof Results): KeptRow[] => {
    const mine = fresh.filter((row) => row.size === size);
    const others = last[size].filter((row) => !mine.some((one) => one.row === row.row && one.subject === row.subject));
    return [...others, ...mine].sort((a, b) => Number(a.row.slice(1)) - Number(b.row.slice(1)) || (a.subject < b.subject ? -1 : 1));
  };
  const results: Results = { ci: merged("ci"), long: merged("long") };
  writeFileSync(FILE, `${JSON.stringify(results, undefined, 2)}\n`);
}
