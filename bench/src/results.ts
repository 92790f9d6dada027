import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { fileURLToPath } from "node:url";
import type { Contest } from "./contenders/contest.ts";
import type { Grouped } from "./finding.ts";

/** Where and when a run was made. */
export interface Run {
  readonly date: string;
  readonly node: string;
  readonly system: string;
  readonly processors: string;
  readonly memoryGiB: number;
}

export interface Results {
  /** `npm run bench` */
  readonly floors?: { readonly run: Run; readonly findings: readonly Grouped[] };
  /** `npm run bench:peers` */
  readonly peers?: { readonly run: Run; readonly contests: readonly Contest[]; readonly missing: readonly Missing[] };
}

/** A peer that could not be measured. */
export interface Missing {
  readonly name: string;
  readonly reason: string;
}

const FILE = new URL("../results.json", import.meta.url);

export function readResults(): Results {
  return JSON.parse(readFileSync(FILE, "utf8")) as Results;
}

/** Replaces one part of the file; the other command's part stays. */
export function keepResults(part: Results): void {
  writeFileSync(fileURLToPath(FILE), `${JSON.stringify({ ...readResults(), ...part }, rounded, 1)}\n`);
}

/** Digits that no clock can tell apart are not kept. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}

export function thisRun(): Run {
  const [first] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    system: `${type()} ${release().split(".").slice(0, 2).join(".")}`,
    processors: `${cpus().length} × ${first?.model ?? "unknown"}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
}
