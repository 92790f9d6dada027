import { it } from "vitest";
import { operationNamed } from "../src/operations.ts";
import { crashRow } from "../src/rows/crash-points.ts";
import { whyNoTrace } from "../src/strace.ts";
import { notices, passes, SEED, size, unless } from "./row.ts";

const { skip, because } = unless(whyNoTrace());

it.skipIf(skip)(
  `R3: a crash at each writing system call of each operation leaves it done or undone, and the store goes on${because}`,
  async () => {
    await passes(crashRow({ oneIn: size(4, 1), seed: SEED }));
  },
);

it.skipIf(skip)(`R3 notices a delete that takes the log away before its tombstone stands${because}`, async () => {
  await notices(crashRow({ seed: SEED, operations: [operationNamed("delete")], mutant: "log removed before its tombstone" }));
});

it.skipIf(skip)(`R3 notices a delete of which the catalog does not hear before${because}`, async () => {
  await notices(crashRow({ seed: SEED, operations: [operationNamed("delete")], mutant: "catalog told afterwards only" }));
});
