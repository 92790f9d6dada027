import { renameSync } from "node:fs";
import { join } from "node:path";
import { textOf } from "@aixgo/core";
import { createSessionManager, type SessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { describe, expect, it, onTestFinished } from "vitest";
import { importGoStore } from "@aixgo/migrate-go";
import { contentsOf, fixtureCopy, goId, ourId, readAsGo } from "./support/go-store.ts";

function open(baseDir: string): SessionManager {
  const manager = createSessionManager({ backend: createFileBackend({ baseDir }) });
  onTestFinished(async () => manager.close());
  return manager;
}

describe("a file store in the folder of a Go store, which is the default of both", () => {
  it("lists, creates and finds its own sessions, and changes nothing of the Go store's", async () => {
    const folder = fixtureCopy();
    const before = contentsOf(folder);
    const sessions = open(folder);
    expect((await sessions.list()).items).toEqual([]);
    const session = await sessions.getOrCreate("assistant", "ada");
    await session.append("hello");
    expect((await sessions.list()).items.map(({ id }) => id)).toEqual([session.id]);
    expect((await sessions.list({ agentName: "assistant", userId: "ada" })).items).toHaveLength(1);
    await expect(sessions.get(goId("basic"))).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    await expect(sessions.get(ourId("basic"))).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    await sessions.close();
    // A second start reads the folders anew.
    const again = open(folder);
    expect((await again.getOrCreate("assistant", "ada")).id).toBe(session.id);
    expect((await again.list()).items).toHaveLength(1);
    expect(await again.delete(session.id)).toBe(true);
    expect(contentsOf(folder)).toMatchObject(before);
    expect(readAsGo(folder)).toEqual(readAsGo(fixtureCopy()));
  });

  it("takes an import in place: both read their own, and a second import finds all of it there", async () => {
    const folder = fixtureCopy();
    const before = contentsOf(folder);
    const backend = createFileBackend({ baseDir: folder });
    const report = await importGoStore({ from: folder, to: backend });
    expect(report).toMatchObject({ imported: 11, skipped: 0, isSourceInUse: false });
    expect(contentsOf(folder)).toMatchObject(before);
    const sessions = createSessionManager({ backend });
    onTestFinished(async () => sessions.close());
    expect((await sessions.list({ limit: 100 })).items).toHaveLength(11);
    const session = await sessions.getOrCreate("assistant", "bob");
    expect((await session.messages()).map((message) => textOf(message))).toEqual(["one", "two", "five", "six"]);
    await session.append("seven");
    for await (const { id } of sessions.listAll()) expect((await (await sessions.get(id)).verify()).problems).toEqual([]);
    expect(await importGoStore({ from: folder, to: backend })).toMatchObject({ imported: 0, updated: 0, present: 11, skipped: 0 });
    expect(readAsGo(folder)).toEqual(readAsGo(fixtureCopy()));
    expect(await session.messages()).toHaveLength(5);
  });

  it("is found whole by a store that is opened after its folder was moved", async () => {
    const folder = fixtureCopy();
    const backend = createFileBackend({ baseDir: folder });
    await importGoStore({ from: folder, to: backend });
    await backend.close();
    const moved = join(folder, "..", "moved");
    renameSync(folder, moved);
    const sessions = open(moved);
    const session = await sessions.get(ourId("restored"));
    await session.restore(goId("restored.checkpoint"));
    expect((await session.messages()).map((message) => textOf(message))).toEqual(["one", "two"]);
  });
});
