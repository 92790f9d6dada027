import { expect } from "vitest";
import { chosenSeed } from "../src/random.ts";
import { keep, type RowResult } from "../src/result.ts";

/** Drawn once for each file; a failure names it, and AIXGO_FAULTS_SEED runs it again. */
export const SEED: number = chosenSeed();

const isLong = process.env["AIXGO_LONG"] !== undefined;

/** How much of a row runs in CI, and how much on `npm run test:long`. */
export function size(ci: number, long: number): number {
  return isLong ? long : ci;
}

/** Runs a row, keeps its result, and fails if anything went wrong. */
export async function passes(row: Promise<RowResult>): Promise<void> {
  const began = performance.now();
  const result = await row;
  keep(result, (performance.now() - began) / 1000, isLong ? "long" : "ci");
  expect(result.failures, `seed ${result.seed}`).toEqual([]);
  expect(result.n).toBeGreaterThan(0);
}

/** Runs a row on a broken build: it must notice. */
export async function notices(row: Promise<RowResult>): Promise<void> {
  const { failures } = await row;
  expect(failures.length, "the row did not notice that the code is broken").toBeGreaterThan(0);
}

/** Why a test does not run here: part of its name, since skipped tests are counted with their reason. */
export function unless(reason: string | undefined): { readonly skip: boolean; readonly because: string } {
  return { skip: reason !== undefined, because: reason === undefined ? "" : ` (skipped: ${reason})` };
}

export const noLinux: string | undefined =
  process.platform === "linux" ? undefined : "stopping a process and looking at its descriptors is done by Linux means";
