import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = promisify(execFile);
const dist = (file: string): string => fileURLToPath(new URL(`../dist/${file}`, import.meta.url));

it("remembers, waits for a person and takes back, from one process to the next, as the README shows", async () => {
  const { stdout, stderr } = await run(process.execPath, [dist("main.js")], { timeout: 110_000 });
  expect(stderr).toBe("");
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  expect(stdout).toBe(/```text\n([\s\S]+?)```/.exec(readme)?.[1]);
}, 120_000);

it("an approval that nothing waits for is refused", async () => {
  const dir = await mkdtemp(join(tmpdir(), "aixgo-openai-agents-test-"));
  try {
    await expect(run(process.execPath, [dist("worker.js"), dir, "approve"], { timeout: 45_000 })).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nothing waits for an approval") as string,
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}, 60_000);
