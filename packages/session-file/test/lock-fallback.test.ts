import { readdirSync, rmSync } from "node:fs";
import type * as Modules from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLockEngine } from "../src/lock-engine.ts";
import type * as Identity from "../src/process-identity.ts";
import { temporaryStore } from "./support/writer.ts";

const { shown } = vi.hoisted(() => ({ shown: { boot: "a boot", start: "a start" } }));
vi.mock("node:module", async (original) => ({
  ...(await original<typeof Modules>()),
  createRequire: () => () => {
    throw new Error("no prebuilt binary for this platform");
  },
}));
vi.mock("../src/process-identity.ts", async (original) => {
  const real = await original<typeof Identity>();
  return { ...real, ownIdentity: () => ({ ...real.ownIdentity(), ...shown }) };
});

let folder: string;
beforeEach(() => {
  folder = temporaryStore();
  Object.assign(shown, { boot: "a boot", start: "a start" });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("where the kernel's locks cannot be had", () => {
  it("links stand for locks", () => {
    const engine = createLockEngine(folder, false);
    expect(engine.tryLock(0, join(folder, "00"))).toBe(true);
    expect(readdirSync(folder)).toContain("00.held");
    engine.unlock(0, join(folder, "00"));
    engine.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([{ boot: "" }, { start: "" }, { boot: "", start: "" }])(
    "nor processes told apart (%j), nothing is locked but told",
    (unknown) => {
      Object.assign(shown, unknown);
      expect(() => createLockEngine(folder, false)).toThrow(
        expect.objectContaining({ code: "LOCK_UNAVAILABLE", message: expect.stringContaining("singleProcess: true") as string }) as Error,
      );
      expect(createLockEngine(folder, true).tryLock(0, "any")).toBe(true);
    },
  );
});
