import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

it("an agent remembers in SQLite, across a restart", async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN], { timeout: 25_000 });
  expect(stderr).toBe("");
  expect(stdout).toBe(`1. three turns; the second is sent twice, as after a lost reply
   add bread -> Noted: bread. That makes 1.
   add milk -> Noted: milk. That makes 2.
   add milk -> Noted: milk. That makes 2. (from the log)
2. a checkpoint, a mistake, and back
   add cake -> Noted: cake. That makes 3.
   what is on it? -> On your list: bread, milk.
3. a second manager, as after a restart
   add eggs -> Noted: eggs. That makes 3.
   what is on it? -> On your list: bread, milk, eggs.
4. found by its metadata, through an index of the database
   of ada: 10 messages
5. verified line by line
   31 entries, 0 problems
`);
});
