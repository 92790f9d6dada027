import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assistantMessage, type Json, type Message, textOf } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { describe, expect, it, onTestFinished } from "vitest";
import { exportGoStore, importGoStore } from "@aixgo/migrate-go";
import { FIXTURE, goId, readAsGo, SAID, tempFolder } from "./support/go-store.ts";

function open(backend: SessionBackend = createMemoryBackend()): SessionManager {
  const manager = createSessionManager({ backend });
  onTestFinished(async () => manager.close());
  return manager;
}

function target(): string {
  return join(tempFolder(), "out");
}

const dashed = (id: string): string => id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

/** A session with everything that the Go release has no words for. */
async function rich(manager: SessionManager): Promise<{ session: Session; checkpoint: string; beside: string }> {
  const session = await manager.getOrCreate("assistant", "ada", { metadata: { plan: "gold" } });
  await session.append(["one", assistantMessage("two", { metadata: { tokens: 7 } })]);
  const checkpoint = (await session.checkpoint({ label: "before" })).id;
  await session.append("three, rolled back");
  const beside = (await session.checkpoint({ label: "beside" })).id;
  await session.restore(checkpoint);
  await session.turn("four", async (turn) => {
    await turn.append(
      assistantMessage([
        { type: "text", text: "let me look" },
        { type: "tool-call", toolCallId: "c1", toolName: "weather", input: { city: "Bern" } },
      ]),
    );
    await turn.append({
      role: "tool",
      parts: [{ type: "tool-result", toolCallId: "c1", toolName: "weather", output: { type: "json", value: { sun: true } } }],
    });
    await turn.setState({ mood: "good" });
    return "sunny <b>&</b>";
  });
  await session.setMetadata({ plan: "silver" });
  return { session, checkpoint, beside };
}

const plain = (messages: readonly Message[]): Json => JSON.parse(JSON.stringify(messages)) as Json;

describe("export", () => {
  it("writes what the Go release reads: the history, and nothing but the history", async () => {
    const manager = open();
    const { session, checkpoint, beside } = await rich(manager);
    const to = target();
    const report = await exportGoStore({ from: manager, to });
    const id = dashed(session.id);
    expect(report).toMatchObject({ exported: 1, skipped: 0, sessions: [{ id: session.id, goId: id, outcome: "exported", messages: 6 }] });
    const read = readAsGo(to)[id];
    const info = await session.info();
    expect(read?.meta).toMatchObject({
      id,
      agentName: "assistant",
      userId: "ada",
      messageCount: 6,
      createdAt: info.createdAt,
      updatedAt: info.updatedAt,
    });
    expect(read?.messages?.map(({ Type, Payload }) => [Type, Payload])).toEqual([
      ["user", '{"content":"one"}'],
      ["assistant", '{"content":"two"}'],
      ["user", '{"content":"four"}'],
      ["assistant", '{"content":"let me look"}'],
      ["tool", '{"content":""}'],
      ["assistant", '{"content":"sunny \\u003cb\\u003e\\u0026\\u003c/b\\u003e"}'],
    ]);
    expect(read?.messages?.[1]?.Metadata).toEqual({ tokens: 7 });
    expect(read?.messages?.map(({ ID }) => ID)).toEqual((await session.messages()).map((message) => message.id));
    expect(Object.keys(read?.checkpoints ?? {})).toEqual([checkpoint]);
    expect(Object.keys(read?.checkpoints ?? {})).not.toContain(beside);
    expect(read?.checkpoints[checkpoint]).toMatchObject({ isChecksumOfFile: true, messages: [{ Type: "user" }, { Type: "assistant" }] });
    if (process.platform !== "win32") {
      expect(statSync(join(to, "assistant")).mode & 0o777).toBe(0o700);
      expect(statSync(join(to, "assistant", `${id}.jsonl`)).mode & 0o777).toBe(0o600);
    }
  });

  it("comes back by an import: history, parts, branches, checkpoints, state and metadata", async () => {
    const manager = open();
    const { session, checkpoint, beside } = await rich(manager);
    const to = target();
    await exportGoStore({ from: manager, to });
    const again = open((await imported(to)).backend);
    const copy = await again.getOrCreate("assistant", "ada");
    expect(copy.id).toBe(session.id);
    expect((await copy.verify()).problems).toEqual([]);
    expect(plain(await copy.messages())).toEqual(plain(await session.messages()));
    expect((await copy.info()).metadata).toMatchObject({ plan: "silver" });
    expect((await copy.info()).messageCount).toBe(6);
    expect((await copy.checkpoints()).map(({ id, label }) => [id, label])).toEqual([
      [checkpoint, "before"],
      [beside, "beside"],
    ]);
    await copy.turn("what is the mood?", async (turn) => {
      expect(await turn.getState()).toEqual({ mood: "good" });
      return "good";
    });
    await copy.restore(beside);
    expect((await copy.messages()).map((message) => textOf(message))).toEqual(["one", "two", "three, rolled back"]);
  });

  it("a session that stands before entries beside its path: the Go release goes on from the right one", async () => {
    const manager = open();
    const session = await manager.create("assistant");
    await session.append(["one", "two"]);
    const { id } = await session.checkpoint();
    await session.append("three, rolled back");
    await session.restore(id);
    const to = target();
    await exportGoStore({ from: manager, to });
    const file = join(to, "assistant", `${dashed(session.id)}.jsonl`);
    // What the Go release would append: its parent is the last line of the file.
    const last = JSON.parse(readFileSync(file, "utf8").trimEnd().split("\n").at(-1) as string) as { id: string };
    const next = {
      id: "go-1",
      parentId: last.id,
      timestamp: new Date().toISOString(),
      type: "message",
      data: { id: "m", metadata: {}, payload: '{"content":"four"}', timestamp: "", type: "user" },
    };
    writeFileSync(file, `${JSON.stringify(next)}\n`, { flag: "a" });
    const index = join(to, "assistant", "sessions.json");
    const metas = JSON.parse(readFileSync(index, "utf8")) as Record<string, object>;
    const meta = {
      ...metas[dashed(session.id)],
      updatedAt: new Date(Date.now() + 1000).toISOString(),
      currentLeaf: "go-1",
      messageCount: 3,
    };
    writeFileSync(index, JSON.stringify({ ...metas, [dashed(session.id)]: meta }));
    const copy = await open((await imported(to)).backend).get(session.id);
    expect((await copy.messages()).map((message) => textOf(message))).toEqual(["one", "two", "four"]);
  });

  it("of an import is what the Go release wrote: ids, types, payloads and times of every message", async () => {
    const backend = createMemoryBackend();
    await importGoStore({ from: FIXTURE, to: backend });
    const to = target();
    const report = await exportGoStore({ from: open(backend), to, onTooLong: "shorten" });
    expect(report).toMatchObject({ exported: 11, skipped: 0 });
    const read = readAsGo(to);
    for (const name of ["basic", "odd", "older", "newer", "empty", "nobody"]) {
      const said = SAID.sessions[goId(name)];
      const now = read[goId(name)];
      const messages = said?.messages.filter(({ ID, Type }) => ID !== "" || Type !== "");
      // What the Go release stored without an id or a time has one now; numbers above 2^53 are texts.
      const same = now?.messages?.map((message, index) => ({
        ...message,
        ...(messages?.[index]?.ID === "" ? { ID: "" } : undefined),
        ...(messages?.[index]?.Timestamp === "" ? { Timestamp: "" } : undefined),
        Metadata: JSON.parse(JSON.stringify(message.Metadata).replace('"9223372036854775807"', "9223372036854775807")) as object,
      }));
      expect({ name, messages: same }).toEqual({ name, messages });
      expect(now?.meta).toMatchObject({ id: goId(name), agentName: said?.meta.agentName });
      expect(now?.meta.userId).toBe(said?.meta.userId);
    }
    expect(read[goId("restored")]?.messages?.map(({ Payload }) => Payload)).toEqual(
      ["one", "two", "five", "six"].map((content) => JSON.stringify({ content })),
    );
    expect(read[goId("restored")]?.checkpoints[goId("restored.checkpoint")]?.messages).toHaveLength(2);
  });

  it("back and forth: an export of the import of an export is the same, byte for byte", async () => {
    const manager = open();
    await rich(manager);
    const [first, second] = [target(), target()];
    await exportGoStore({ from: manager, to: first });
    const { backend } = await imported(first);
    await exportGoStore({ from: open(backend), to: second });
    const { backend: third } = await imported(second);
    const last = target();
    await exportGoStore({ from: open(third), to: last });
    const texts = (folder: string): Record<string, string> =>
      Object.fromEntries(
        readdirSync(folder, { recursive: true, encoding: "utf8" })
          .filter((name) => name.endsWith(".jsonl"))
          .map((name) => [name, readFileSync(join(folder, name), "utf8")]),
      );
    expect(texts(last)).toEqual(texts(second));
  });

  describe("messages above 64 KiB", () => {
    it("leave their session out, with the message named", async () => {
      const manager = open();
      const session = await manager.create("assistant");
      await session.append({ role: "user", parts: [{ type: "text", text: "x".repeat(70_000) }], id: "the-long-one" });
      const fine = await manager.create("assistant");
      await fine.append("short");
      const to = target();
      const report = await exportGoStore({ from: manager, to });
      expect(report).toMatchObject({ exported: 1, skipped: 1 });
      expect(report.sessions.find(({ id }) => id === session.id)).toMatchObject({
        code: "LIMIT_EXCEEDED",
        reason: expect.stringMatching(/"the-long-one".*onTooLong/),
      });
      expect(Object.keys(readAsGo(to))).toEqual([dashed(fine.id)]);
      expect(existsSync(join(to, "assistant", `${dashed(session.id)}.jsonl`))).toBe(false);
    });

    it("are shortened if asked for, and one that just fits is not", async () => {
      const manager = open();
      const session = await manager.create("assistant");
      await session.append('é"<'.repeat(30_000));
      const to = target();
      await exportGoStore({ from: manager, to, onTooLong: "shorten" });
      const [message] = readAsGo(to)[dashed(session.id)]?.messages ?? [];
      expect(message?.Payload).toMatch(/\[shortened: 90000 characters\]"\}$/);
      expect(message?.Payload.length).toBeGreaterThan(30_000);
      expect(message?.Metadata).toEqual({ aixgoShortened: 90_000 });
      const bytes = readFileSync(join(to, "assistant", `${dashed(session.id)}.jsonl`)).length;
      expect(bytes).toBeLessThanOrEqual(65_536);
      expect(bytes).toBeGreaterThan(65_000);
    });

    it("the limit is the Go release's own, to the byte", async () => {
      const manager = open();
      const session = await manager.create("assistant", { userId: "u" });
      const probe = await manager.create("assistant");
      await probe.append({ role: "user", parts: [{ type: "text", text: "" }], id: "m", timestamp: "2026-01-01T00:00:00Z" });
      const to = target();
      await exportGoStore({ from: manager, to });
      const frame = readFileSync(join(to, "assistant", `${dashed(probe.id)}.jsonl`)).length;
      await session.append({
        role: "user",
        parts: [{ type: "text", text: "x".repeat(65_536 - frame) }],
        id: "m",
        timestamp: "2026-01-01T00:00:00Z",
      });
      const over = await manager.create("assistant");
      await over.append({
        role: "user",
        parts: [{ type: "text", text: "x".repeat(65_537 - frame) }],
        id: "m",
        timestamp: "2026-01-01T00:00:00Z",
      });
      const report = await exportGoStore({ from: manager, to: target() });
      expect(report.sessions.filter(({ outcome }) => outcome === "skipped").map(({ id }) => id)).toEqual([over.id]);
    });
  });

  it("attached files have no place there: a text stands for each, and a note says so", async () => {
    const manager = open();
    const session = await manager.create("assistant");
    const file = await session.attach(Buffer.alloc(300_000, 7), { mediaType: "image/png", filename: "map.png" });
    await session.append({ role: "user", parts: [{ type: "text", text: "look: " }, file], id: "m1" });
    const to = target();
    const report = await exportGoStore({ from: manager, to });
    expect(report.sessions).toMatchObject([
      { outcome: "exported", notes: ['message "m1": 1 attached file has no place in a Go store: left out'] },
    ]);
    expect(readAsGo(to)[dashed(session.id)]?.messages?.[0]?.Payload).toBe('{"content":"look: [file left out: map.png]"}');
    const copy = await open((await imported(to)).backend).get(session.id);
    expect((await copy.verify()).problems).toEqual([]);
  });

  it("is there whole or not at all", async () => {
    const manager = open();
    for (let i = 0; i < 3; i += 1) await (await manager.create("assistant")).append("hello");
    const stop = new AbortController();
    const to = target();
    await expect(exportGoStore({ from: manager, to, signal: stop.signal, onSession: () => stop.abort() })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    expect(readdirSync(join(to, ".."))).toEqual([]);
  });

  it("refuses a folder that is not empty, and takes an empty one", async () => {
    const manager = open();
    await manager.create("assistant");
    const to = tempFolder();
    writeFileSync(join(to, "note.txt"), "mine");
    await expect(exportGoStore({ from: manager, to })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("not empty"),
    });
    expect(readdirSync(to)).toEqual(["note.txt"]);
    const empty = join(tempFolder(), "empty");
    mkdirSync(empty);
    await exportGoStore({ from: manager, to: empty });
    expect(readdirSync(empty)).toEqual(["assistant"]);
    await expect(exportGoStore({ from: manager, to: join(to, "note.txt") })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it("goes through a link to an empty folder, and says so of one that leads nowhere", async () => {
    const manager = open();
    await manager.create("assistant");
    const at = tempFolder();
    mkdirSync(join(at, "volume"));
    symlinkSync("volume", join(at, "link"));
    await exportGoStore({ from: manager, to: join(at, "link") });
    expect(readdirSync(join(at, "volume"))).toEqual(["assistant"]);
    expect(lstatSync(join(at, "link")).isSymbolicLink()).toBe(true);
    symlinkSync("nowhere", join(at, "dangling"));
    await expect(exportGoStore({ from: manager, to: join(at, "dangling") })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("link to nothing"),
    });
    expect(readdirSync(at).sort()).toEqual(["dangling", "link", "volume"]);
  });

  it("says of a mount point that it cannot be replaced, before anything is read", async () => {
    const manager = open();
    // One that every system has, and where nothing is written.
    await expect(exportGoStore({ from: manager, to: "/dev" })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("is a mount point, which cannot be replaced; give a folder inside of it"),
    });
  });

  it("keeps tenants apart: without one named, their sessions are left out", async () => {
    const manager = open();
    await manager.as({ id: "ada", tenantId: "acme" }).create("assistant");
    await manager.create("assistant", { userId: "ada" });
    const all = await exportGoStore({ from: manager, to: target() });
    expect(all).toMatchObject({ exported: 1, skipped: 1 });
    expect(all.sessions.find(({ outcome }) => outcome === "skipped")?.reason).toContain('tenant "acme"');
    expect(await exportGoStore({ from: manager, to: target(), tenantId: "acme" })).toMatchObject({ exported: 1, skipped: 0 });
  });

  it("leaves out names that the Go release refuses", async () => {
    const manager = open();
    await manager.create("a..b");
    const report = await exportGoStore({ from: manager, to: target() });
    expect(report.sessions).toMatchObject([{ outcome: "skipped", reason: 'the Go release refuses the agent name "a..b"' }]);
  });

  it.each([
    [{ frm: 1 }, "frm"],
    [{ from: createMemoryBackend() }, "from"],
    [{ onTooLong: "cut" }, "onTooLong"],
    [{ to: "" }, "to"],
    [{ agent: 1 }, "agent"],
    [{ tenantId: 1 }, "tenantId"],
    [{ onSession: 1 }, "onSession"],
  ])("refuses option %o", async (wrong, name) => {
    await expect(exportGoStore({ from: open(), to: target(), ...wrong } as never)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining(name),
    });
  });
});

async function imported(from: string): Promise<{ backend: SessionBackend }> {
  const backend = createMemoryBackend();
  const report = await importGoStore({ from, to: backend });
  expect(report).toMatchObject({ skipped: 0, notes: [] });
  expect(report.sessions.flatMap(({ notes }) => notes)).toEqual([]);
  return { backend };
}
