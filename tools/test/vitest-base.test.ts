import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runNode } from "../child.mjs";
import { countReport } from "../report.mjs";
import { ROOT, toolScript } from "../workspace.mjs";

/** Within the workspace, so that vitest itself is found. */
let folder: string;
beforeEach(() => {
  mkdirSync(join(ROOT, ".artifacts"), { recursive: true });
  folder = mkdtempSync(join(ROOT, ".artifacts", "vitest-"));
  mkdirSync(join(folder, "test"));
  writeFileSync(join(folder, "vitest.config.ts"), `export { base as default } from ${JSON.stringify(join(ROOT, "vitest.base.ts"))};\n`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function runSuite(source: string | undefined): Promise<{ code: number; counts: ReturnType<typeof countReport> }> {
  if (source !== undefined) writeFileSync(join(folder, "test", "a.test.ts"), `import { afterAll, it, expect } from "vitest";\n${source}\n`);
  const report = join(folder, "report.json");
  const { code } = await runNode(toolScript("vitest"), ["run", "--root", folder, "--reporter=json", `--outputFile=${report}`], {
    cwd: folder,
  });
  return { code, counts: countReport("planted", report) };
}

it("a quiet test passes, and counts", async () => {
  expect(await runSuite('it("a", () => expect(1).toBe(1));')).toMatchObject({ code: 0, counts: { passed: 1, failed: 0, skipped: [] } });
});

it.each([
  ["prints", 'it("a", () => console.warn("left over"));'],
  ["prints while it is loaded", 'console.log("left over"); it("a", () => {});'],
  ["prints at its end", 'it("a", () => {}); afterAll(() => console.error("left over"));'],
  ["holds no test", ""],
  ["cannot be loaded", 'import "./gone.ts"; it("a", () => {});'],
  ["runs only some of its tests", 'it.only("a", () => {}); it("b", () => {});'],
])("a suite that %s fails", async (_, source) => {
  const { code, counts } = await runSuite(source);
  expect(code).not.toBe(0);
  expect(counts.failed).toBeGreaterThan(0);
});

it("a rejection that nobody handles fails the run, though every test passed", async () => {
  const { code, counts } = await runSuite('it("a", () => { void Promise.reject(new Error("left over")); });');
  expect(code).not.toBe(0);
  expect(counts).toMatchObject({ passed: 1, failed: 0 });
});

it("a project without any test fails", async () => {
  const { code, counts } = await runSuite(undefined);
  expect(code).not.toBe(0);
  expect(counts.failed).toBe(1);
});
