import { describe, expect, it } from "vitest";
import type { Contender, Conversation, Store } from "../src/contenders/contender.ts";
import { inFiles, inMemory, onDisk } from "../src/contenders/ours.ts";
import { plainFile, syncedFile } from "../src/contenders/plain-file.ts";
import { appends, checkpoints, contest, lists, loads, resumes, space } from "../src/contests.ts";
import type { Missing } from "../src/results.ts";

const LOCAL = { kind: "local", where: "" };

function fake(name: string, store: Partial<Store>, conversation: Partial<Conversation> = {}, role: Contender["role"] = "peer"): Contender {
  return {
    name,
    role,
    survives: "nothing",
    open: async () => ({
      filled: async (messages) => {
        let count = messages;
        return { append: () => (count += 1), load: () => count, ...conversation };
      },
      close: async () => {},
      ...store,
    }),
  };
}

function failsAfter(calls: number): () => number {
  let left = calls;
  return () => {
    if ((left -= 1) < 0) throw new Error("it is tired");
    return 100;
  };
}

describe("a contest", () => {
  it("measures each who offers it, floor and ours too", async () => {
    const missing: Missing[] = [];
    const [appending] = appends(LOCAL, [10]);
    const found = await contest(appending as NonNullable<typeof appending>, [plainFile, inFiles, inMemory, fake("other", {})], missing);
    expect(found).toMatchObject({ id: "append-local-10", unit: "µs", size: 10, series: "append-local" });
    expect(found.sides.map(({ name, role }) => [name, role])).toEqual([
      [plainFile.name, "floor"],
      [inFiles.name, "ours"],
      [inMemory.name, "ours"],
      ["other", "peer"],
    ]);
    expect(found.sides.every(({ summary }) => summary.calls === 100 && summary.median > 0)).toBe(true);
    expect(missing).toEqual([]);
  }, 60_000);

  it("leaves out who does not offer the operation", async () => {
    const found = await contest(resumes(LOCAL, 100), [plainFile, onDisk, inMemory, fake("other", {})], []);
    expect(found.sides.map(({ name }) => name)).toEqual([plainFile.name, onDisk.name]);
    const [checkpoint] = checkpoints(LOCAL, [100]);
    const marked = await contest(checkpoint as NonNullable<typeof checkpoint>, [syncedFile, inMemory, fake("other", {})], []);
    expect(marked.sides.map(({ name }) => name)).toEqual([syncedFile.name, inMemory.name]);
  }, 60_000);

  it.each<[string, Contender]>([
    ["cannot be opened", { ...fake("broken", {}), open: () => Promise.reject(new Error("needs a download")) }],
    ["answers with fewer messages", fake("broken", {}, { load: () => 99 })],
    ["fails in the middle of it", fake("broken", {}, { load: failsAfter(30) })],
    ["throws", fake("broken", {}, { load: () => Promise.reject(new Error("no such table")) })],
  ])(
    "names a peer that %s, with the reason, and goes on without it",
    async (_, broken) => {
      const missing: Missing[] = [];
      const found = await contest(loads(LOCAL, 100), [inMemory, broken, fake("other", {})], missing);
      expect(found.sides.map(({ name }) => name)).toEqual([inMemory.name, "other"]);
      expect(missing).toHaveLength(1);
      expect(missing[0]).toMatchObject({
        name: "broken",
        reason: expect.stringMatching(
          /^load 100 messages.*: (?:needs a download|99 came instead of 100|no such table|it is tired)$/,
        ) as unknown,
      });
    },
    60_000,
  );

  it("fails if ours or the floor does", async () => {
    const broken = fake("ours", {}, { load: () => 99 }, "ours");
    await expect(contest(loads(LOCAL, 100), [broken], [])).rejects.toThrow("99 came instead of 100");
  });

  it("of lists wants as many as were asked for", async () => {
    const lister = (count: number): Contender => fake(`lists ${count}`, { populate: async () => {}, list: () => count });
    const missing: Missing[] = [];
    const found = await contest(lists(100, 50), [inMemory, inFiles, lister(50), lister(49)], missing);
    expect(found.sides.map(({ name }) => name)).toEqual([inMemory.name, inFiles.name, "lists 50"]);
    expect(missing.map(({ name }) => name)).toEqual(["lists 49"]);
  }, 60_000);

  it("of space counts what lies in the store", async () => {
    const { sides } = await space(100, [plainFile, inFiles, fake("other", { bytes: () => 7 })], []);
    const [floor, ours, other] = sides.map(({ summary }) => summary.median);
    expect(floor).toBeGreaterThan(100 * 200);
    expect(ours).toBeGreaterThan(floor as number);
    expect(other).toBe(7);
  }, 60_000);
});
