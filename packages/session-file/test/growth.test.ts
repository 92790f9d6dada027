import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TYPESCRIPT } from "./support/fixtures.ts";
import type { IdleReport, StreamReport } from "./support/growth-worker.ts";
import { temporaryStore } from "./support/writer.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const LONG = process.env["AIXGO_LONG"] === "1";
/** What the child may open: the store takes a quarter of it. */
const OPEN_FILES = 512;

let store: string;
beforeEach(() => {
  store = temporaryStore();
});
afterEach(() => rmSync(store, { recursive: true, force: true }));

async function report<T>(...args: readonly string[]): Promise<T> {
  const node = [process.execPath, ...TYPESCRIPT, "--expose-gc", join(import.meta.dirname, "support/growth-worker.ts"), ...args];
  const { stdout } = await promisify(execFile)("sh", ["-c", `ulimit -n ${OPEN_FILES}; exec "$@"`, "sh", ...node], { timeout: 280_000 });
  return JSON.parse(stdout) as T;
}

const isLinux = process.platform === "linux";

describe.skipIf(!isLinux)(
  isLinux ? "growth" : "growth (skipped: descriptors and bytes are read from /proc, which Linux has)",
  { timeout: 300_000 },
  () => {
    it("10,000 sessions held by one process cost a few KiB each and a bounded number of descriptors, make no append dearer, and are given back by closing", async () => {
      const { before, few, many, closed, mostDescriptors, appendAtFew, appendAtMany } = await report<IdleReport>("idle", store, "1000");
      expect((many.heapBytes - few.heapBytes) / 9_000).toBeLessThan(4 * KIB);
      // A few bytes more: numbers have more digits. An index of all sessions would be a hundred bytes for each of them.
      expect(appendAtMany).toBeLessThan(appendAtFew + 1 * KIB);
      expect(appendAtFew).toBeGreaterThan(100);
      expect(few.descriptors).toBeGreaterThan(10);
      expect(mostDescriptors - before.descriptors).toBeLessThanOrEqual(OPEN_FILES / 4);
      expect(many.descriptors).toBe(few.descriptors);
      expect(many.timers).toBe(before.timers);
      // Less than with a tenth of the sessions: none is held any more.
      expect(closed.heapBytes).toBeLessThan(few.heapBytes);
      expect(closed).toMatchObject({ descriptors: before.descriptors, timers: before.timers });
    });

    it("a session of 10 MiB, 100 in long runs, is read as a stream within a few MiB, and makes no append dearer", async () => {
      const { messages, read, before, mostHeapBytes, appendToMany, appendToFew } = await report<StreamReport>(
        "stream",
        store,
        String((LONG ? 100 : 10) * MIB),
      );
      expect(messages).toBeGreaterThan(LONG ? 25_000 : 2_500);
      expect(read).toBe(messages);
      expect(mostHeapBytes - before.heapBytes).toBeLessThan(4 * MIB);
      expect(appendToMany).toBeLessThan(appendToFew + 1 * KIB);
    });
  },
);
