import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createFileEngine } from "../../src/lock-engine.ts";
import { createStripes } from "../../src/stripes.ts";

/** Enters one lock many times and makes sure that nobody else is inside: a file that only one can make. */
const [, , folder, task] = process.argv as [string, string, string, string];
const stripes = createStripes(folder, { lockTimeoutMs: 20_000, singleProcess: false, maxOpen: 2, engine: createFileEngine(folder) });
const inside = join(folder, "inside");
for (let i = 0; i < 300; i++) {
  await stripes.hold("00", "working", () => {
    // Who dies has left the inner mark before, so that only the lock itself is left behind.
    if (task === "die" && i === 150) process.kill(process.pid, "SIGKILL");
    closeSync(openSync(inside, "wx"));
    rmSync(inside);
  });
}
stripes.close();
