import { it } from "vitest";
import { writersRow } from "../src/rows/writers.ts";
import { notices, passes, SEED, size } from "./row.ts";

it("R7: eight processes append to one session: each message once, at the place that its writer was told", async () => {
  await passes(writersRow({ writers: 8, appends: size(250, 10_000), seed: SEED }));
});

it("R7 notices writers that do not wait for each other", async () => {
  await notices(writersRow({ writers: 4, appends: 100, seed: SEED, mutant: "no lock" }));
});
