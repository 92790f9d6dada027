import { expect, it } from "vitest";
import { whyNoDisk } from "../src/disk.ts";
import { powerRow } from "../src/rows/power.ts";
import { passes, SEED, size, unless } from "./row.ts";

const { skip, because } = unless(whyNoDisk());

for (const filesystem of ["ext4", "xfs"] as const) {
  it.skipIf(skip)(`R2: files on ${filesystem} lose nothing that they acknowledged when the power is cut${because}`, async () => {
    await passes(powerRow({ filesystem, cuts: size(10, 100), seed: SEED }));
  });
}

it.skipIf(skip)(`R2 notices what durability "os" loses: nothing is synced${because}`, async () => {
  const { lost } = await powerRow({ filesystem: "ext4", cuts: 2, seed: SEED, durability: "os", cutsPerDisk: 1 });
  expect(lost).toBeGreaterThan(0);
});

it.skipIf(skip)(`R2 notices an append without fdatasync${because}`, async () => {
  const { lost } = await powerRow({ filesystem: "xfs", cuts: 2, seed: SEED, cutsPerDisk: 1, mutant: "no fdatasync" });
  expect(lost).toBeGreaterThan(0);
});
