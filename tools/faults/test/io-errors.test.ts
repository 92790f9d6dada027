import { it } from "vitest";
import { operationNamed } from "../src/operations.ts";
import { ioRow } from "../src/rows/io-errors.ts";
import { shortWriteRow } from "../src/rows/short-writes.ts";
import { whyNoTrace } from "../src/strace.ts";
import { notices, passes, SEED, size, unless } from "./row.ts";

const { skip, because } = unless(whyNoTrace());

it.skipIf(skip)(
  `R6: a system call that fails acknowledges nothing falsely, leaves no torn tail, and the process goes on${because}`,
  async () => {
    await passes(ioRow({ oneIn: size(12, 1), seed: SEED }));
  },
);

it.skipIf(skip)(`R6: a write that ends early, at any byte, is taken back${because}`, async () => {
  await passes(shortWriteRow({ oneIn: size(60, 1), seed: SEED }));
});

it.skipIf(skip)(`R6 notices a failed fdatasync that is taken for success${because}`, async () => {
  await notices(ioRow({ seed: SEED, operations: [operationNamed("append")], only: "fdatasync", mutant: "failed sync passed over" }));
});

it.skipIf(skip)(`R6 notices a short write that is taken for a whole one${because}`, async () => {
  await notices(shortWriteRow({ oneIn: 150, seed: SEED, mutant: "short write passed over" }));
});
