import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFileEngine } from "../src/lock-engine.ts";
import { ownIdentity } from "../src/process-identity.ts";
import { encodeRecord } from "../src/record.ts";
import { createStripes } from "../src/stripes.ts";
import { TYPESCRIPT } from "./support/fixtures.ts";
import { temporaryStore } from "./support/writer.ts";

let folder: string;
beforeEach(() => {
  folder = temporaryStore();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const options = { lockTimeoutMs: 40, singleProcess: false, maxOpen: 3 };

describe("stripes", () => {
  it("exclude each other between two descriptors, and open no more than allowed", async () => {
    const one = createStripes(folder, options);
    const two = createStripes(folder, options);
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 10; i++) {
      const stripe = i.toString(16).padStart(2, "0");
      const inside = one.tryHold(stripe, () => two.tryHold(stripe, () => "never"));
      expect(inside).toEqual({ value: undefined });
      expect(two.tryHold(stripe, () => "free")).toEqual({ value: "free" });
    }
    expect(readdirSync("/proc/self/fd").length - before).toBeLessThanOrEqual(6);
    one.close();
    two.close();
  });

  it("are free again after a body that throws", async () => {
    const stripes = createStripes(folder, options);
    await expect(
      stripes.hold("00", "testing", () => {
        throw new Error("body");
      }),
    ).rejects.toThrow("body");
    expect(await stripes.hold("00", "testing", () => 1)).toBe(1);
    stripes.close();
  });

  it("are kept by lock files that nobody removes", async () => {
    const stripes = createStripes(folder, options);
    await stripes.hold("7f", "testing", () => undefined);
    stripes.close();
    expect(existsSync(join(folder, "7f"))).toBe(true);
  });
});

describe("locks without the kernel's help", () => {
  const path = (): string => join(folder, "00");

  it("exclude each other and are given back", () => {
    const one = createFileEngine(folder);
    const two = createFileEngine(folder);
    expect(one.tryLock(0, path())).toBe(true);
    expect(two.tryLock(0, path())).toBe(false);
    expect(two.holder(path())).toBe(process.pid);
    one.unlock(0, path());
    expect(two.tryLock(0, path())).toBe(true);
    two.unlock(0, path());
    one.close();
    two.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("of the dead, of an earlier boot, and what a power cut left are taken over", async () => {
    const engine = createFileEngine(folder);
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    for (const left of [
      encodeRecord({ ...ownIdentity(), pid: child.pid, start: "1" }),
      encodeRecord({ ...ownIdentity(), boot: "before" }),
      Buffer.alloc(20),
    ]) {
      writeFileSync(`${path()}.held`, left);
      expect(engine.tryLock(0, path())).toBe(true);
      engine.unlock(0, path());
    }
    engine.close();
  });

  it("of the living are not, nor those of another container", () => {
    const engine = createFileEngine(folder);
    for (const held of [ownIdentity(), { ...ownIdentity(), pid: 1, start: "1", space: "elsewhere" }]) {
      writeFileSync(`${path()}.held`, encodeRecord(held));
      expect(engine.tryLock(0, path())).toBe(false);
    }
    engine.close();
  });

  it("let one of several processes in at a time, killed ones included", async () => {
    const program = join(import.meta.dirname, "support/lock-worker.ts");
    const run = async (kill: boolean): Promise<void> => {
      const child = spawn(process.execPath, [...TYPESCRIPT, program, folder, kill ? "die" : "work"], {
        stdio: ["ignore", "inherit", "inherit"],
      });
      const [code, signal] = await once(child, "exit");
      expect(kill ? signal : code).toBe(kill ? "SIGKILL" : 0);
    };
    await Promise.all([run(false), run(false), run(true), run(false), run(true)]);
  }, 60_000);
});
