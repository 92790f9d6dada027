import { it } from "vitest";
import { damageRow } from "../src/rows/damage.ts";
import { notices, passes, SEED, size } from "./row.ts";

it("R4: a log that is cut at each byte keeps each whole batch, and can be appended to", async () => {
  await passes(damageRow({ kind: "truncate", count: size(4, 1), seed: SEED }));
});

it("R5: a bit that flips yields no wrong entry, and is reported with file and offset", async () => {
  await passes(damageRow({ kind: "flip", count: size(4_000, 80_000), seed: SEED }));
});

it("R5: bytes that are smeared yield no wrong entry, and are reported with file and offset", async () => {
  await passes(damageRow({ kind: "smear", count: size(1_000, 20_000), seed: SEED }));
});

it("R4 notices a torn tail that is not cut off", async () => {
  await notices(damageRow({ kind: "truncate", count: 50, seed: SEED, mutant: "torn tail stays" }));
});

it("R5 notices hashes that are not compared", async () => {
  await notices(damageRow({ kind: "flip", count: 50, seed: SEED, mutant: "no hash" }));
});

it("R5 notices damage that is left out like a torn tail", async () => {
  await notices(damageRow({ kind: "flip", count: 800, seed: SEED, mutant: "damage taken for a torn tail" }));
});
