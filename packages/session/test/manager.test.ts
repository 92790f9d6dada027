import { textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { createMemoryBackend, createSessionManager, type SessionInfo, type SessionManagerOptions } from "../src/index.ts";
import { twoNodes } from "./two-nodes.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const manager = () => createSessionManager({ backend: createMemoryBackend() });

describe("getOrCreate", () => {
  it("called at once by many on two nodes makes one session", async () => {
    const { a, b } = twoNodes();
    const made = await Promise.all(Array.from({ length: 50 }, (_, index) => (index % 2 ? a : b).getOrCreate("assistant", "ada")));
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    expect((await a.list()).items).toHaveLength(1);
  });

  it("never returns a session made without a key, nor another agent's or user's", async () => {
    const m = manager();
    const plain = await m.create("assistant", { userId: "ada" });
    const own = await m.getOrCreate("assistant", "ada");
    const ids = [plain, own, await m.getOrCreate("other", "ada"), await m.getOrCreate("assistant", "bob")].map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    await expect(m.create("assistant", { key: "user:ada" })).rejects.toThrow(withCode("INVALID_INPUT"));
  });

  it("with a key of another user's session is refused instead of handing it over", async () => {
    const m = manager();
    await m.getOrCreate("assistant", "ada", { key: "project" });
    await expect(m.getOrCreate("assistant", "bob", { key: "project" })).rejects.toThrow(withCode("KEY_EXISTS"));
  });

  it("after a delete makes a new session", async () => {
    const m = manager();
    const first = await m.getOrCreate("assistant", "ada");
    await m.delete(first.id);
    expect((await m.getOrCreate("assistant", "ada")).id).not.toBe(first.id);
  });
});

describe("what a caller gives at creation", () => {
  it("is kept as it was then, whatever becomes of the caller's object", async () => {
    const m = manager();
    const metadata = { tags: ["a"] };
    const making = m.create("x", { metadata });
    metadata.tags.push("later");
    expect((await (await making).info()).metadata).toEqual({ tags: ["a"] });
  });

  it("may be a user id as long as any, and must be text that is safe to show", async () => {
    const m = manager();
    const longest = "u".repeat(256);
    expect((await m.getOrCreate("x", longest)).userId).toBe(longest);
    for (const user of ["", "a\nb", "\u202e", "\ud800", "u".repeat(257)])
      await expect(m.getOrCreate("x", user)).rejects.toThrow(withCode("INVALID_INPUT"));
  });
});

describe("keys", () => {
  it("are unique; create says so, gets, or takes", async () => {
    const m = manager();
    const first = await m.create("a", { key: "k" });
    await expect(m.create("a", { key: "k" })).rejects.toThrow(withCode("KEY_EXISTS"));
    expect((await m.create("a", { key: "k", onKey: "get" })).id).toBe(first.id);
    const second = await m.create("a", { key: "k", onKey: "take" });
    expect(second.id).not.toBe(first.id);
    expect((await m.create("a", { key: "k", onKey: "get" })).id).toBe(second.id);
    await expect(m.create("a", { key: "k", onKey: "steal" as never })).rejects.toThrow(withCode("INVALID_OPTION"));
  });
});

describe("names and ids that callers give", () => {
  it.each(["..", ".", "CON", "a/b", "a\\b", "nul\0", "x".repeat(300), "-rf", "a\nb", "\u202eevil", "", " ", "\ud800", "C:", "NUL.txt"])(
    "agent %j is refused before anything is written",
    async (name) => {
      const m = manager();
      await expect(m.create(name)).rejects.toThrow(withCode("INVALID_INPUT"));
      expect((await m.list()).items).toEqual([]);
    },
  );

  it.each(["..", "", "a/b", "x".repeat(300), "g".repeat(32), "-rf", "\ud800"])("session id %j is not found", async (id) => {
    const m = manager();
    await expect(m.get(id)).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    expect(await m.delete(id)).toBe(false);
  });

  it("accepts names that only look odd", async () => {
    const m = manager();
    for (const name of ["a..b", "Ägypten", "日本", "helper-2"]) expect((await m.create(name)).agentName).toBe(name);
    expect((await m.getOrCreate("a", "ada@example.com")).userId).toBe("ada@example.com");
  });
});

describe("one principal's view", () => {
  it("shows, opens, deletes and continues only what is its own", async () => {
    const m = manager();
    const ada = m.as({ id: "ada", tenantId: "t1" });
    const bob = m.as({ id: "bob", tenantId: "t1" });
    const twin = m.as({ id: "ada", tenantId: "t2" });
    const plain = m.as({ id: "ada" });
    const s = await ada.create("a");
    const open = { agent: "a", input: "hi", options: {} };
    for (const other of [bob, twin, plain]) {
      await expect(other.get(s.id)).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
      await expect(other.openTurn(s.id, open)).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
      await expect(other.cancelTurn(s.id)).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
      expect(await other.delete(s.id)).toBe(false);
      expect((await other.list()).items).toEqual([]);
    }
    expect((await bob.list({ userId: "ada" })).items).toEqual([]);
    expect((await ada.list()).items).toHaveLength(1);
    await expect(m.openTurn(s.id, { ...open, options: { principal: { id: "bob", tenantId: "t1" } } })).rejects.toThrow(
      withCode("SESSION_NOT_FOUND"),
    );
    await expect(ada.create("a", { userId: "bob" })).rejects.toThrow(withCode("PERMISSION_DENIED"));
    expect(() => ada.as({ id: "bob", tenantId: "t1" })).toThrow(withCode("PERMISSION_DENIED"));
    const fork = await (await m.get(s.id)).fork();
    expect(await fork.info()).toMatchObject({ userId: "ada", tenantId: "t1" });
    expect((await ada.getOrCreate("a", "ada")).id).not.toBe((await twin.getOrCreate("a", "ada")).id);
    await ada.close();
    expect(await ada.delete(s.id)).toBe(true);
  });
});

describe("delete", () => {
  it("ends the session for every handle, node and late write", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    await s.append("one");
    const t = await b.get(s.id);
    await t.messages();
    expect(await a.delete(s.id)).toBe(true);
    for (const call of [
      () => t.append("late"),
      () => s.append("late"),
      () => t.messages(),
      () => s.info(),
      () => t.checkpoint(),
      () => b.get(s.id),
    ]) {
      await expect(call()).rejects.toThrow(withCode("SESSION_DELETED"));
    }
    await t.close();
    expect(await b.delete(s.id)).toBe(false);
    expect((await b.list()).items).toEqual([]);
  });

  it("is not undone by closing what was open, nor by another session of the same key", async () => {
    const { a, b } = twoNodes();
    const s = await a.getOrCreate("x", "ada");
    await s.append("one");
    const checkpoint = await s.checkpoint();
    const t = await b.get(s.id);
    const pending = t.append("late").then(
      () => "written before",
      (error: unknown) => (error as { code?: string }).code,
    );
    expect(await a.delete(s.id)).toBe(true);
    expect(["written before", "SESSION_DELETED"]).toContain(await pending);
    const next = await a.getOrCreate("x", "ada");
    expect(next.id).not.toBe(s.id);
    await expect(next.restore(checkpoint.id)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
    await t.close();
    await s.close();
    await b.close();
    await expect(a.get(s.id)).rejects.toThrow(withCode("SESSION_DELETED"));
    expect((await a.list()).items.map(({ id }) => id)).toEqual([next.id]);
    expect(await next.checkpoints()).toEqual([]);
    expect(await next.messages()).toEqual([]);
  });
});

describe("list", () => {
  it("shows the newest update first, in pages, each session once", async () => {
    const m = manager();
    const sessions = [];
    for (let index = 0; index < 25; index += 1) sessions.push(await m.create("x", { metadata: { index } }));
    // Times are milliseconds: the update must not share its own with the last creation.
    await new Promise((resolve) => setTimeout(resolve, 3));
    await sessions[3]?.append("bump");
    const found: SessionInfo[] = [];
    for await (const info of m.listAll({ limit: 10 })) found.push(info);
    expect(found).toHaveLength(25);
    expect(found[0]?.id).toBe(sessions[3]?.id);
    expect(new Set(found.map(({ id }) => id)).size).toBe(25);
  });
});

describe("options", () => {
  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["no backend", {}],
    ["an unknown name", { backend: createMemoryBackend(), leasems: 3 }],
    ["a lease of 0 ms", { backend: createMemoryBackend(), leaseMs: 0 }],
    ["text for a number", { backend: createMemoryBackend(), maxQueued: "3" }],
    ["NaN", { backend: createMemoryBackend(), queueTimeoutMs: Number.NaN }],
  ])("with %s are refused by name", (_, options) => {
    expect(() => createSessionManager(options as SessionManagerOptions)).toThrow(withCode("INVALID_OPTION"));
  });
});

describe("close", () => {
  it("is idempotent; later calls say so; nothing that was acknowledged is lost", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    const pending = s.append("in flight");
    await Promise.all([a.close(), a.close()]);
    await pending.catch(() => undefined);
    for (const call of [() => s.append("x"), () => a.create("x"), () => a.list(), () => a.get(s.id)])
      await expect(call()).rejects.toThrow(withCode("BACKEND_CLOSED"));
    expect((await (await b.get(s.id)).messages()).map(textOf)).toEqual(["in flight"]);
  });

  it("of a handle refuses calls on the handle only", async () => {
    const m = manager();
    const s = await m.create("x");
    await s.close();
    await s.close();
    await expect(s.append("x")).rejects.toThrow(withCode("BACKEND_CLOSED"));
    await (await m.get(s.id)).append("x");
  });
});
