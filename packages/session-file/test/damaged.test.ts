import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager, type Entry, type Session, type SessionManager } from "@aixgo/session";
import { afterEach, describe, expect, it } from "vitest";
import { createFileBackend } from "../src/index.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const corrupt = withCode("ENTRY_CORRUPT");
const opened: { dir: string; manager: SessionManager }[] = [];

afterEach(async () => {
  for (const { dir, manager } of opened.splice(0)) {
    await manager.close();
    rmSync(dir, { recursive: true });
  }
});

const open = (dir: string): SessionManager => {
  const manager = createSessionManager({ backend: createFileBackend({ baseDir: dir }) });
  opened.push({ dir, manager });
  return manager;
};

/** A session of 30 messages, the 14th of which was changed on the disk. */
async function damaged(): Promise<{ manager: SessionManager; session: Session; dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), "aixgo-damaged-"));
  const writer = createSessionManager({ backend: createFileBackend({ baseDir: dir }) });
  const { id } = await writer.getOrCreate("helper", "ada");
  const session = await writer.get(id);
  for (let i = 1; i <= 30; i += 1) await session.append(`message ${i}`);
  await writer.close();
  const file = join(dir, "helper", `${id}.jsonl`);
  const text = readFileSync(file, "latin1");
  writeFileSync(file, text.replace("message 14", "massage 14"), "latin1");
  const manager = open(dir);
  return { manager, dir, session: await manager.get(id) };
}

async function wholeOf(session: Session): Promise<Entry[]> {
  const found: Entry[] = [];
  await expect(
    (async () => {
      for await (const entry of session.entries()) found.push(entry);
    })(),
  ).rejects.toThrow(corrupt);
  return found;
}

describe("a session whose log is damaged in the middle", () => {
  it("is listed and can be had, and everything that would hide the damage is refused", async () => {
    const { manager, session } = await damaged();
    expect((await manager.list()).items.map(({ id }) => id)).toEqual([session.id]);
    expect(session).toMatchObject({ agentName: "helper", userId: "ada" });
    for (const call of [
      () => session.info(),
      () => session.messages(),
      () => session.messages({ last: 2 }),
      () => session.append("more"),
      () => session.checkpoint(),
      () => session.fork(),
      () => session.turn("hello", async () => "hi"),
      () => manager.getOrCreate("helper", "ada"),
    ])
      await expect(call()).rejects.toThrow(corrupt);
  });

  it("says where, and yields the entries before it", async () => {
    const { session } = await damaged();
    const { entries, problems } = await session.verify();
    expect({ entries, problems }).toMatchObject({ entries: 14, problems: [{ seq: 14, code: "ENTRY_CORRUPT" }] });
    expect(problems[0]?.message).toContain(`helper/${session.id}.jsonl is damaged at entry 14`);
    expect((await wholeOf(session)).map(({ seq }) => seq)).toEqual(Array.from({ length: 14 }, (_, seq) => seq));
  });

  it("a loop that follows it ends with the damage", async () => {
    const { session } = await damaged();
    let last = -1;
    await expect(
      (async () => {
        for await (const { seq } of session.entries({ follow: true })) last = seq;
      })(),
    ).rejects.toThrow(corrupt);
    expect(last).toBe(13);
  });

  it("is saved by a fork at one of them, which takes over the key", async () => {
    const { manager, session } = await damaged();
    const last = (await wholeOf(session)).at(-1) as Entry;
    const saved = await session.fork({ at: last.id, onKey: "take" });
    expect((await saved.messages()).map(({ parts }) => parts)).toEqual(
      Array.from({ length: 13 }, (_, i) => [{ type: "text", text: `message ${i + 1}` }]),
    );
    await saved.append("and on it goes");
    expect((await manager.getOrCreate("helper", "ada")).id).toBe(saved.id);
    expect(await manager.delete(session.id)).toBe(true);
    expect((await manager.getOrCreate("helper", "ada")).id).toBe(saved.id);
  });

  it("can be deleted, and its key with it", async () => {
    const { manager, session, dir } = await damaged();
    expect(await manager.delete(session.id, { mode: "erase" })).toBe(true);
    expect(readdirSync(join(dir, "helper")).filter((name) => name.startsWith(session.id))).toEqual([]);
    await expect(manager.get(session.id)).rejects.toThrow(withCode("SESSION_DELETED"));
    expect((await manager.list()).items).toEqual([]);
    expect((await manager.getOrCreate("helper", "ada")).id).not.toBe(session.id);
  });

  it("goes on when the file was put back", async () => {
    const { session, dir } = await damaged();
    const file = join(dir, "helper", `${session.id}.jsonl`);
    await expect(session.messages()).rejects.toThrow(corrupt);
    writeFileSync(file, readFileSync(file, "latin1").replace("massage 14", "message 14"), "latin1");
    await session.append("message 31");
    expect(await session.messages()).toHaveLength(31);
  });
});

describe("a fork that takes a key over", () => {
  it("needs one to take, and leaves a user's key with the user", async () => {
    const manager = open(mkdtempSync(join(tmpdir(), "aixgo-damaged-")));
    const bare = await manager.create("helper");
    await expect(bare.fork({ onKey: "take" })).rejects.toThrow(withCode("INVALID_OPTION"));
    const hers = await manager.getOrCreate("helper", "ada");
    await expect(hers.fork({ onKey: "take", userId: "bob" })).rejects.toThrow(withCode("INVALID_OPTION"));
    const named = await manager.create("helper", { key: "project", userId: "ada" });
    const fork = await named.fork({ onKey: "take", userId: "bob" });
    expect((await fork.info()).key).toBe("project");
  });
});
