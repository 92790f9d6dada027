import { it } from "vitest";
import { largeRow } from "../src/rows/large.ts";
import { soakRow } from "../src/rows/soak.ts";
import { noLinux, notices, passes, SEED, size, unless } from "./row.ts";

const MIB = 1024 * 1024;
const { skip, because } = unless(noLinux);

it.skipIf(skip)(`R12: very many turns leave no memory, descriptor or timer behind${because}`, async () => {
  const long = { turns: 100_000, turnsPerSession: 10, warmUp: 0.2 };
  await passes(soakRow({ ...(size(0, 1) === 1 ? long : { turns: 2_000, turnsPerSession: 1, warmUp: 0.75 }), seed: SEED }));
});

it("R13: the largest entry round-trips, a larger one is refused; a large session opens within a bounded memory", async () => {
  await passes(largeRow({ sessionBytes: size(32 * MIB, 100 * MIB), seed: SEED }));
});

it.skipIf(skip)(`R12 notices descriptors of logs that stay open${because}`, async () => {
  await notices(soakRow({ turns: 300, turnsPerSession: 1, warmUp: 0.7, seed: SEED, mutant: "evicted logs stay open" }));
});

it("R13 notices an entry above the limit that is written", async () => {
  await notices(largeRow({ sessionBytes: MIB, seed: SEED, mutant: "no limit of a line" }));
});
