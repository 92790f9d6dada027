import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { withLock } from "../setup-lock.mjs";

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aixgo-lock-"));
  lock = join(folder, "below", "setup.lock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("one at a time, each in its turn, and nothing is left behind", async () => {
  let inside = 0;
  let most = 0;
  const turn = (): Promise<number> =>
    withLock(lock, async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      return inside--;
    });
  expect(await Promise.all([turn(), turn(), turn()])).toEqual([1, 1, 1]);
  expect(most).toBe(1);
  expect(readdirSync(join(folder, "below"))).toEqual([]);
});

it("is released when the work fails", async () => {
  await expect(withLock(lock, () => Promise.reject(new Error("no disk")))).rejects.toThrow("no disk");
  expect(existsSync(lock)).toBe(false);
});

it("waits for another process, and takes over what a killed one left", async () => {
  const script = `import { withLock } from ${JSON.stringify(new URL("../setup-lock.mjs", import.meta.url).href)};
await withLock(${JSON.stringify(lock)}, () => new Promise(() => { process.stdout.write("held"); setInterval(() => {}, 1000); }));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  try {
    await new Promise((resolve) => child.stdout.once("data", resolve));
    let waited = false;
    const mine = withLock(lock, () => Promise.resolve("mine"), { onWait: () => (waited = true), staleMs: 6000 });
    await expect.poll(() => waited).toBe(true);
    child.kill("SIGKILL");
    await ended;
    expect(existsSync(lock)).toBe(true);
    expect(await mine).toBe("mine");
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
});

it("of several that find an abandoned lock, one at a time goes on", async () => {
  rmSync(folder, { recursive: true, force: true });
  await withLock(lock, () => Promise.resolve());
  writeFileSync(lock, "0 left behind");
  const long = new Date(Date.now() - 60_000);
  utimesSync(lock, long, long);
  let inside = 0;
  const turns = Array.from({ length: 8 }, () =>
    withLock(lock, async () => {
      expect(++inside).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 2));
      inside--;
    }),
  );
  await Promise.all(turns);
  expect(readdirSync(join(folder, "below"))).toEqual([]);
});
