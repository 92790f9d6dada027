import { it } from "vitest";
import { handOverRow, stoppedInLockRow } from "../src/rows/hand-over.ts";
import { noLinux, notices, passes, SEED, size, unless } from "./row.ts";

const { skip, because } = unless(noLinux);

it.skipIf(skip)(`R8: turns go from process to process: none is done twice, who wakes up late is refused${because}`, async () => {
  await passes(handOverRow({ handOvers: size(60, 1_000), stopped: size(5, 50), seed: SEED }));
});

it.skipIf(skip)(
  `R8: a process that is stopped inside the lock is named to the others, and goes on when it is continued${because}`,
  async () => {
    await passes(stoppedInLockRow({ times: size(3, 50), seed: SEED }));
  },
);

it.skipIf(skip)(`R8 notices a turn that is taken over while it runs${because}`, async () => {
  await notices(handOverRow({ handOvers: 10, stopped: 0, seed: SEED, mutant: "lease runs out at once" }));
});
