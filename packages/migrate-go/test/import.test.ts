import { textOf } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { beforeAll, describe, expect, it } from "vitest";
import { importGoStore, type ImportReport } from "@aixgo/migrate-go";
import { contentsOf, FIXTURE, goId, ourId, readAsGo, SAID } from "./support/go-store.ts";

describe("a store that the Go release v0.3.3 wrote", () => {
  let backend: SessionBackend;
  let sessions: SessionManager;
  let report: ImportReport;
  let before: Record<string, string>;

  beforeAll(async () => {
    before = contentsOf(FIXTURE);
    backend = createMemoryBackend();
    sessions = createSessionManager({ backend });
    report = await importGoStore({ from: FIXTURE, to: backend });
  });

  const texts = async (session: Session): Promise<string[]> =>
    (await session.messages()).map((message) => `${message.role}: ${textOf(message)}`);
  const open = async (name: string): Promise<Session> => sessions.get(ourId(name));
  const reported = (name: string) => report.sessions.find((session) => session.goId === goId(name));

  it("is read by this suite's Go rules as the Go release reads it", () => {
    const read = readAsGo(FIXTURE);
    expect(Object.keys(read).sort()).toEqual(Object.keys(SAID.sessions).sort());
    for (const [id, said] of Object.entries(SAID.sessions)) {
      if (said.error !== undefined) expect(read[id]?.error).toBe(said.error);
      else expect({ id, messages: read[id]?.messages }).toEqual({ id, messages: said.messages });
    }
  });

  it("is imported whole, and not touched", () => {
    expect(report).toMatchObject({ imported: 11, updated: 0, present: 0, skipped: 0, isSourceInUse: false });
    expect(report.sessions.map(({ goId }) => goId).sort()).toEqual(
      Object.entries(SAID.names)
        .filter(([name]) => !name.includes(".") && name !== "deleted")
        .map(([, id]) => id)
        .sort(),
    );
    expect(contentsOf(FIXTURE)).toEqual(before);
  });

  it("every session passes verify, and says what the Go release says of it", async () => {
    for (const [id, { meta, messages, error }] of Object.entries(SAID.sessions)) {
      const session = await sessions.get(id.replaceAll("-", ""));
      expect((await session.verify()).problems).toEqual([]);
      const info = await session.info();
      const { createdAt, agentName, userId } = meta ?? {};
      if (meta !== undefined)
        expect(info).toMatchObject({
          agentName,
          createdAt: new Date(createdAt as string).toISOString(),
          ...(userId === undefined ? undefined : { userId }),
        });
      expect(info.metadata).toMatchObject({ importedFrom: { store: "aixgo-go", sessionId: id } });
      const isBranched = (report.sessions.find((one) => one.goId === id)?.branches ?? 0) > 0;
      if (error !== undefined || isBranched || id === goId("odd")) continue;
      expect((await session.messages()).map((message) => message.id)).toEqual(messages.map((message) => message.ID));
    }
  });

  it("messages: ids, times, roles, text, metadata, and the exact payload", async () => {
    const [first, second, third] = await (await open("basic")).messages();
    const said = SAID.sessions[goId("basic")]?.messages ?? [];
    expect(first).toMatchObject({ id: said[0]?.ID, role: "user", timestamp: said[0]?.Timestamp });
    expect(textOf(first as never)).toBe('Hello, AI! <b>1 & 2</b> \u2028 "quoted" \\ é 😀\ttab\b\f\u0001\u007f');
    // A payload that is made from its text again is not kept twice; this one was written by another version of Go's encoder.
    expect(first?.metadata).toEqual({ goMessage: { payload: said[0]?.Payload } });
    expect(second).toEqual({
      id: said[1]?.ID,
      role: "assistant",
      parts: [{ type: "text", text: "Hello." }],
      timestamp: said[1]?.Timestamp,
    });
    expect(textOf(third as never)).toBe("Weather?");
    expect(third?.metadata).toEqual({
      priority: "high",
      big: "9223372036854775807",
      float: 0.1,
      nested: { list: [1, "two", null, true] },
      goMessage: { payload: '{"content":"Weather?","place":"Bern"}' },
    });
    expect(reported("basic")?.notes).toEqual(["line 3 holds whole numbers that JavaScript would round: kept as texts"]);
  });

  it("entries keep their ids: whatever a program has kept is still found", async () => {
    const session = await open("basic");
    const ids: string[] = [];
    for await (const entry of session.entries()) if (entry.type === "message") ids.push(entry.id);
    expect(ids).toContain(SAID.sessions[goId("basic")]?.meta.currentLeaf);
  });

  it("types and payloads of any kind", async () => {
    const session = await open("odd");
    expect(await texts(session)).toEqual([
      "user: plain text, no JSON",
      'assistant: {"answer":42,"steps":["a","b"]}',
      "user: a JSON text",
      "assistant: [1,2,3]",
      "user: broken \ufffd\ufffd bytes",
      "user: ",
    ]);
    const [, second] = await session.messages();
    expect(second).toMatchObject({ id: "my-own-id", metadata: { goMessage: { type: "react_response", timestamp: "yesterday" } } });
    expect(reported("odd")?.notes).toEqual(["line 4 holds no message (a nil message was appended): left out"]);
  });

  it("a message above 64 KiB, which the Go release itself cannot read again", async () => {
    expect(SAID.sessions[goId("too-long")]?.error).toContain("token too long");
    const [long, reply] = await (await open("too-long")).messages();
    expect(textOf(long as never)).toBe("long ".repeat(14_000));
    expect(textOf(reply as never)).toBe("That was long.");
  });

  describe("branches", () => {
    it("a restore that was gone on from: the history is the new branch, the old one is still there", async () => {
      const session = await open("restored");
      expect(await texts(session)).toEqual(["user: one", "assistant: two", "user: five", "assistant: six"]);
      const old = SAID.sessions[goId("restored")]?.messages.find(({ Payload }) => Payload.includes("four, rolled back"));
      const fork = await session.fork({ at: old?.ID as string });
      expect(await texts(fork)).toEqual(["user: one", "assistant: two", "user: three, rolled back", "assistant: four, rolled back"]);
      expect(reported("restored")).toMatchObject({ messages: 4, branches: 1 });
    });

    it("a restore that was the last thing done", async () => {
      expect(await texts(await open("restored-and-left"))).toEqual(["user: kept"]);
    });

    it("a restore to the beginning", async () => {
      expect(await texts(await open("restored-to-nothing"))).toEqual(["user: a new beginning"]);
    });

    it("a restored session that a new process went on with", async () => {
      expect(await texts(await open("flattened"))).toEqual(["user: one", "assistant: three", "user: four"]);
    });
  });

  describe("checkpoints", () => {
    it("are restored by the ids that they had", async () => {
      const copy = createMemoryBackend();
      await importGoStore({ from: FIXTURE, to: copy });
      const session = await createSessionManager({ backend: copy }).get(ourId("restored"));
      expect((await session.checkpoints()).map(({ id }) => id)).toEqual([goId("restored.checkpoint"), goId("restored.second")]);
      await session.restore(goId("restored.second"));
      expect(await texts(session)).toEqual(["user: one", "assistant: two", "user: five"]);
      await session.restore(goId("restored.checkpoint"));
      expect(await texts(session)).toEqual(["user: one", "assistant: two"]);
      await session.append("and on");
      expect((await session.verify()).problems).toEqual([]);
    });

    it("of an empty session name its beginning", async () => {
      const copy = createMemoryBackend();
      await importGoStore({ from: FIXTURE, to: copy });
      const session = await createSessionManager({ backend: copy }).get(ourId("restored-to-nothing"));
      await session.restore(goId("restored-to-nothing.checkpoint"));
      expect(await session.messages()).toEqual([]);
    });

    it("agree with their checksums, over the path as over the file", () => {
      expect(report.sessions.flatMap(({ notes }) => notes).filter((note) => note.includes("checksum"))).toEqual([]);
    });

    it("of deleted sessions are left out, and counted", () => {
      expect(report.notes).toEqual(['agent "Writer No 2" has 1 checkpoints of sessions that were deleted: left out']);
    });
  });

  it("getOrCreate goes on with the session that the Go release would have gone on with", async () => {
    for (const [name, user] of [
      ["newer", "grace"],
      ["basic", "ada"],
      ["empty", "frank"],
    ] as const) {
      const session = await sessions.getOrCreate("assistant", user);
      expect(session.id).toBe(ourId(name));
      expect(reported(name)?.isLatest).toBe(true);
    }
    expect(reported("older")?.isLatest).toBe(false);
    expect((await sessions.getOrCreate("Writer No 2", "heidi")).id).toBe(ourId("odd"));
  });

  it("another agent is left alone when one is named", async () => {
    const one = await importGoStore({ from: FIXTURE, to: createMemoryBackend(), agent: "Writer No 2" });
    expect(new Set(one.sessions.map(({ agentName }) => agentName))).toEqual(new Set(["Writer No 2"]));
    await expect(importGoStore({ from: FIXTURE, to: createMemoryBackend(), agent: "nobody" })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringMatching(/no agent "nobody"; it has "Writer No 2", "assistant"/),
    });
  });

  it("a dry run reports the same and writes nothing", async () => {
    const target = createMemoryBackend();
    const dry = await importGoStore({ from: FIXTURE, to: target, dryRun: true });
    expect(dry).toEqual(report);
    expect((await target.list({})).items).toEqual([]);
    expect(await importGoStore({ from: FIXTURE, dryRun: true })).toEqual(report);
  });

  it("roles of types that a program has of its own", async () => {
    const target = createMemoryBackend();
    await importGoStore({ from: FIXTURE, to: target, roleOf: ({ type }) => (type === "analysis" ? "system" : undefined) });
    const messages = await (await createSessionManager({ backend: target }).get(ourId("odd"))).messages();
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "system", "user", "user"]);
    await expect(importGoStore({ from: FIXTURE, to: createMemoryBackend(), roleOf: () => "tool" })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });
});
