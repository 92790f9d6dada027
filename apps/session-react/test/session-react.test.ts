import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

it("answers from history after a restart, and a retry from the log", async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN], { timeout: 25_000 });
  expect(stderr).toBe("");
  const pids = [...stdout.matchAll(/^process (\d+), session ([0-9a-f]{32})/gm)];
  expect(pids).toHaveLength(2);
  expect(pids[0]?.[1]).not.toBe(pids[1]?.[1]);
  expect(pids[0]?.[2]).toBe(pids[1]?.[2]);
  expect(stdout.replace(/process \d+, session [0-9a-f]{32}/g, "process")).toBe(`process: 0 messages so far
  ada:     We are four, and want pancakes.
  kitchen: For 4 people you need 240 g of flour and 4 eggs.
           tools used: recipe
  ada:     Make it six.
  kitchen: For 6 people you need 360 g of flour and 6 eggs.
           tools used: recipe
  2 questions and 13 entries in the log, 0 problems
process: 8 messages so far
  ada:     Make it six.
  kitchen: For 6 people you need 360 g of flour and 6 eggs.
           answered from the log, nothing ran
  ada:     Put the flour on my list.
  kitchen: On your list now: 360 g of flour.
           tools used: shopping_list
  3 questions and 20 entries in the log, 0 problems
`);
});
