import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

it("a process that is killed in mid-turn is continued by another one, as the README shows", async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN], { timeout: 110_000 });
  expect(stderr).toBe("");
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const shown = /```text\n([\s\S]+?)```/.exec(readme)?.[1];
  expect(stdout).toBe(shown);
}, 120_000);
