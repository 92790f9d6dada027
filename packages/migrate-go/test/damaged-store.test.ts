import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { textOf } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { importGoStore } from "@aixgo/migrate-go";
import { fixtureCopy, goId, goLine, goTime, tempFolder, uuid, writeGoSession } from "./support/go-store.ts";
import { importOne, storeOf } from "./support/imported.ts";

describe("where a session stands", () => {
  const ids = [uuid(), uuid(), uuid()] as const;
  const lines = ids.map((id, index) => ({ id, text: ["one", "two", "three"][index] as string }));

  it("at the index's leaf, if the index is newer than the file", async () => {
    expect((await importOne(storeOf(lines, { currentLeaf: ids[1], updatedAt: goTime(50) }))).texts).toEqual(["one", "two"]);
  });

  it("at the last entry, if the index is older: the process died between the two writes", async () => {
    const { texts, session } = await importOne(storeOf(lines, { currentLeaf: ids[1], updatedAt: goTime(2) }));
    expect(texts).toEqual(["one", "two", "three"]);
    expect(session.notes).toEqual(["the index is older than the last entry (an append was cut off behind it): the last entry is the head"]);
  });

  it("at the last entry, if the leaf is not there", async () => {
    const { texts, session } = await importOne(storeOf(lines, { currentLeaf: uuid() }));
    expect(texts).toEqual(["one", "two", "three"]);
    expect(session.notes).toEqual([expect.stringMatching(/^the index names the entry .* which is not there/)]);
  });

  it("at the beginning, if it was restored to nothing and left", async () => {
    expect((await importOne(storeOf(lines, { messageCount: 0 }))).texts).toEqual([]);
    expect((await importOne(storeOf(lines, { messageCount: 3 }))).texts).toEqual(["one", "two", "three"]);
  });
});

describe("a damaged index", () => {
  it("cut anywhere: every session is there, and those that stand in it whole keep their users", async () => {
    const copy = fixtureCopy();
    const path = join(copy, "assistant", "sessions.json");
    const bytes = readFileSync(path);
    const everyFile = 8;
    for (let size = 0; size < bytes.length; size += 97) {
      writeFileSync(path, bytes.subarray(0, size));
      const backend = createMemoryBackend();
      const report = await importGoStore({ from: copy, to: backend, agent: "assistant" });
      const whole = bytes.toString("utf8", 0, size).match(/\n {2}\}/g)?.length ?? 0;
      expect(report.notes[0]).toBe(`sessions.json of agent "assistant": it is torn; ${whole} of its sessions could be read`);
      expect(report.sessions.filter(({ outcome }) => outcome === "imported").length).toBeGreaterThanOrEqual(everyFile - 1);
      expect(report.skipped).toBe(0);
      const withUsers = report.sessions.filter(({ notes }) => !notes.includes("the index does not have it: its user is not known"));
      expect(withUsers).toHaveLength(whole);
    }
  });

  it("the end of a longer one behind a shorter one", async () => {
    const copy = fixtureCopy();
    const path = join(copy, "assistant", "sessions.json");
    const text = readFileSync(path, "utf8");
    writeFileSync(path, `${text}${text.slice(-300)}`);
    const report = await importGoStore({ from: copy, to: createMemoryBackend(), agent: "assistant" });
    expect(report).toMatchObject({ imported: 9, skipped: 0 });
    expect(report.sessions.find((one) => one.goId === goId("basic"))?.userId).toBe("ada");
  });

  it("missing: the sessions are there, without users", async () => {
    const { session, report } = await importOne(storeOf([{ text: "one" }], null));
    expect(session).toMatchObject({ outcome: "imported", isLatest: false, notes: ["the index does not have it: its user is not known"] });
    expect(session.userId).toBeUndefined();
    expect(report.notes).toEqual(['agent "assistant" has no sessions.json: the users of its sessions are not known']);
  });

  it("members of another kind are passed over", async () => {
    const base = storeOf([{ text: "one" }]);
    const path = join(base, "assistant", "sessions.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(/\}\s*\}$/, '},"x":null,"y":[1]}'));
    expect((await importGoStore({ from: base, to: createMemoryBackend() })).notes).toEqual([
      'sessions.json of agent "assistant": 2 of its entries say nothing that can be read',
    ]);
  });

  it("ids that lead out of the folder are never made a path of", async () => {
    const base = storeOf([{ text: "one" }]);
    for (const id of ["../../secret", "a/b", "..", "nul\0byte"]) writeGoSession(base, "assistant", { id });
    const report = await importGoStore({ from: base, to: createMemoryBackend() });
    expect(report).toMatchObject({ imported: 1, skipped: 4 });
    for (const bad of report.sessions.filter(({ outcome }) => outcome === "skipped"))
      expect(bad.reason).toContain("cannot be the name of a file");
  });

  it("ids that are no UUIDs get one of ours, the same each time", async () => {
    const base = tempFolder();
    writeGoSession(base, "assistant", { id: "my-session", body: `${goLine({ text: "one" })}\n` });
    const { session } = await importOne(base);
    expect(session).toMatchObject({ goId: "my-session", id: expect.stringMatching(/^[0-9a-f]{32}$/), outcome: "imported" });
    expect((await importOne(base)).session.id).toBe(session.id);
  });

  it("users that are refused here: the session is left out, not given to nobody", async () => {
    const { session } = await importOne(storeOf([{ text: "one" }], { userId: "a\u0000b" }));
    expect(session).toMatchObject({ outcome: "skipped", code: "INVALID_INPUT", reason: expect.stringContaining("user id") });
  });
});

describe("checkpoints", () => {
  const store = (checkpoint: unknown, name = "11111111-1111-4111-8111-111111111111"): string => {
    const base = storeOf([
      { id: "e1", text: "one" },
      { id: "e2", text: "two" },
    ]);
    mkdirSync(join(base, "assistant", "checkpoints"));
    const sessionId = Object.keys(JSON.parse(readFileSync(join(base, "assistant", "sessions.json"), "utf8")) as object)[0];
    const body =
      typeof checkpoint === "string"
        ? checkpoint
        : JSON.stringify({ id: name, sessionId, timestamp: goTime(3), checksum: "", ...(checkpoint as object) });
    writeFileSync(join(base, "assistant", "checkpoints", `${name}.json`), body);
    return base;
  };

  it("with a wrong checksum are kept, and said to be wrong", async () => {
    const { session, sessions } = await importOne(store({ entryId: "e1", checksum: "00" }));
    expect(session.notes).toEqual([expect.stringMatching(/its checksum is not that of the entries up to it/)]);
    const opened = await sessions.get(session.id as string);
    await opened.restore("11111111-1111-4111-8111-111111111111");
    expect((await opened.messages()).map((message) => textOf(message))).toEqual(["one"]);
  });

  it("of an entry that is not there are left out", async () => {
    const { session } = await importOne(store({ entryId: "e9" }));
    expect(session.notes).toEqual([expect.stringMatching(/names the entry "e9", which is not there: left out/)]);
  });

  it("that are torn are left out, by their file", async () => {
    const { report } = await importOne(store('{"id":"1111'));
    expect(report.notes).toEqual(['checkpoint "11111111-1111-4111-8111-111111111111.json" of agent "assistant" left out: it is no JSON']);
  });

  it("with metadata keep them as their label", async () => {
    const named = await importOne(store({ entryId: "e2", metadata: { label: "before the offer" } }));
    expect((await (await named.sessions.get(named.session.id as string)).checkpoints())[0]).toMatchObject({
      label: "before the offer",
      messageCount: 2,
    });
    const other = await importOne(store({ entryId: "e2", metadata: { step: 7, long: "x".repeat(2000) } }));
    expect((await (await other.sessions.get(other.session.id as string)).checkpoints())[0]?.label).toMatch(/^\{"step":7,"long":"x+…$/);
  });
});

describe("names of agents", () => {
  it.each(["-rf", " space", "CON", "tab\there", "a:b"])("%j is refused with a way out", async (name) => {
    if (process.platform === "win32") return;
    const base = tempFolder();
    writeGoSession(base, name, { body: `${goLine({ text: "one" })}\n` });
    const { session } = await importOne(base);
    expect(session).toMatchObject({ outcome: "skipped", code: "INVALID_INPUT", reason: expect.stringMatching(/agent name .*\(rename\)/) });
    const renamed = await importOne(base, { rename: { [name]: "better" } });
    expect(renamed.session).toMatchObject({ outcome: "imported", agentName: "better" });
  });

  it("a name to be renamed that is not there is an error", async () => {
    const base = storeOf([{ text: "one" }]);
    await expect(importGoStore({ from: base, to: createMemoryBackend(), rename: { nobody: "x" } })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });
});

describe("what is no store", () => {
  it("is said to be none, and what to give instead", async () => {
    const to = createMemoryBackend();
    const empty = tempFolder();
    await expect(importGoStore({ from: join(empty, "nowhere"), to })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("there is no folder"),
    });
    await expect(importGoStore({ from: empty, to })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("holds no sessions of the Go release"),
    });
    const base = storeOf([{ text: "one" }]);
    await expect(importGoStore({ from: join(base, "assistant"), to })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("the folder of one agent"),
    });
  });

  it.each([
    [{ form: "x" }, '"form"'],
    [{ from: 7 }, "from"],
    [{ to: {} }, "to must be a session backend"],
    [{ to: undefined }, "to must be a session backend"],
    [{ to: createSessionManager({ backend: createMemoryBackend() }) }, "not the manager"],
    [{ agent: 7 }, "agent"],
    [{ rename: { a: 1 } }, "rename"],
    [{ roleOf: "user" }, "roleOf"],
    [{ dryRun: "yes" }, "dryRun"],
    [{ onSession: 1 }, "onSession"],
  ])("refuses option %#", async (wrong, name) => {
    const base = storeOf([{ text: "one" }]);
    await expect(importGoStore({ from: base, to: createMemoryBackend(), ...wrong } as never)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining(name),
    });
  });
});
