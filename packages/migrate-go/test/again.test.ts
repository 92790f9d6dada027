import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AixgoError, textOf } from "@aixgo/core";
import { newEntryId } from "@aixgo/security";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { emptyTip, placeLine, type SessionBackend } from "@aixgo/session/backend";
import { describe, expect, it } from "vitest";
import { importGoStore, sessionIdOf } from "@aixgo/migrate-go";
import { fixtureCopy, goId, goLine, goTime, ourId, tempFolder, uuid, writeGoSession } from "./support/go-store.ts";

async function logOf(backend: SessionBackend, id: string): Promise<string> {
  const { incarnation } = await backend.head(id);
  let text = "";
  for await (const page of backend.read({ id, incarnation })) text += Buffer.from(page).toString("utf8");
  return text;
}

async function logsOf(backend: SessionBackend): Promise<Record<string, string>> {
  const logs: Record<string, string> = {};
  for (const { id } of (await backend.list({ limit: 1000 })).items) logs[id] = await logOf(backend, id);
  return logs;
}

/** Passes everything on, but for what is given. */
function wrap(backend: SessionBackend, own: Partial<SessionBackend>): SessionBackend {
  return new Proxy(backend, {
    get: (target, name) => (own as Record<PropertyKey, unknown>)[name] ?? Reflect.get(target, name),
  });
}

describe("an import that is made again", () => {
  it("doubles nothing", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    await importGoStore({ from, to });
    const before = await logsOf(to);
    expect(await importGoStore({ from, to })).toMatchObject({ imported: 0, updated: 0, present: 11, skipped: 0 });
    expect(await logsOf(to)).toEqual(before);
  });

  it("at the same time as another one finds what that one has just created", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    await importGoStore({ from, to });
    const before = await logsOf(to);
    const asked = new Set<string>();
    const report = await importGoStore({
      from,
      to: wrap(to, {
        // As it was a moment ago: the other import is in between.
        head: async (id, options) => {
          if (asked.has(id)) return to.head(id, options);
          asked.add(id);
          throw new AixgoError("SESSION_NOT_FOUND", `session ${id} is not there yet`);
        },
      }),
    });
    expect(report).toMatchObject({ imported: 0, updated: 0, present: 11, skipped: 0 });
    expect(await logsOf(to)).toEqual(before);
  });

  it("goes on where one that failed stood, wherever that was: nothing half, nothing doubled", async () => {
    const from = fixtureCopy();
    const whole = createMemoryBackend();
    await importGoStore({ from, to: whole });
    const wanted = Object.keys(await logsOf(whole)).sort();
    let lines = 0;
    for await (const _ of countLines(whole)) lines += 1;
    // Fails before, in the middle of and behind every session.
    for (let fatal = 1; fatal <= lines; fatal += 1) {
      const to = createMemoryBackend();
      let drawn = 0;
      const failing = wrap(to, {
        create: async (request) =>
          to.create({
            ...request,
            lines: async function* (id) {
              for await (const line of request.lines(id)) {
                drawn += 1;
                if (drawn === fatal) throw new Error("the process died here");
                yield line;
              }
            },
          }),
      });
      await expect(importGoStore({ from, to: failing })).rejects.toThrow("the process died here");
      for (const [id, log] of Object.entries(await logsOf(to)))
        expect(log.split("\n").length).toBe((await logOf(whole, id)).split("\n").length);
      const rest = await importGoStore({ from, to });
      expect(rest.imported + rest.present).toBe(11);
      expect(Object.keys(await logsOf(to)).sort()).toEqual(wanted);
      expect((await createSessionManager({ backend: to }).getOrCreate("assistant", "grace")).id).toBe(ourId("newer"));
    }
  });

  it("stops at the signal, and the next run goes on", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    const stop = new AbortController();
    let seen = 0;
    const onSession = (): void => {
      seen += 1;
      if (seen === 4) stop.abort();
    };
    await expect(importGoStore({ from, to, signal: stop.signal, onSession })).rejects.toMatchObject({ code: "CANCELLED" });
    expect(seen).toBe(4);
    expect(await importGoStore({ from, to })).toMatchObject({ imported: 7, present: 4 });
  });

  it("brings a session up to date that has grown there and was not touched here", async () => {
    const from = tempFolder();
    const [a, b] = [uuid(), uuid()];
    const id = writeGoSession(from, "assistant", { meta: { userId: "ada" }, body: `${goLine({ id: a, text: "one" })}\n` });
    const to = createMemoryBackend();
    await importGoStore({ from, to });
    appendFileSync(join(from, "assistant", `${id}.jsonl`), `${goLine({ id: b, parentId: a, text: "two", timestamp: goTime(200) })}\n`);
    writeGoSession(from, "assistant", { id, meta: { userId: "ada", updatedAt: goTime(200), currentLeaf: b } });
    expect(await importGoStore({ from, to, dryRun: true })).toMatchObject({ updated: 1, imported: 0 });
    expect(await importGoStore({ from, to })).toMatchObject({ updated: 1, imported: 0, present: 0, skipped: 0 });
    const session = await createSessionManager({ backend: to }).getOrCreate("assistant", "ada");
    expect(session.id).toBe(sessionIdOf(id));
    expect((await session.messages()).map((message) => textOf(message))).toEqual(["one", "two"]);
    expect(await importGoStore({ from, to })).toMatchObject({ updated: 0, present: 1 });
  });

  it("leaves a session alone that was gone on with here, and says if it has grown there as well", async () => {
    const from = tempFolder();
    const id = writeGoSession(from, "assistant", { body: `${goLine({ text: "one" })}\n` });
    const to = createMemoryBackend();
    await importGoStore({ from, to });
    const session = await createSessionManager({ backend: to }).get(sessionIdOf(id));
    await session.append("gone on with here");
    expect((await importGoStore({ from, to })).sessions).toMatchObject([{ outcome: "present", notes: [] }]);
    appendFileSync(join(from, "assistant", `${id}.jsonl`), `${goLine({ text: "and there" })}\n`);
    const { sessions } = await importGoStore({ from, to });
    expect(sessions).toMatchObject([
      { outcome: "present", notes: [expect.stringContaining("gone on with here: this one is left as it is")] },
    ]);
    expect((await session.messages()).map((message) => textOf(message))).toEqual(["one", "gone on with here"]);
  });

  it("brings nothing back that was deleted here", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    await importGoStore({ from, to });
    await createSessionManager({ backend: to }).delete(ourId("basic"));
    const report = await importGoStore({ from, to });
    expect(report.sessions.find((one) => one.goId === goId("basic"))).toMatchObject({ outcome: "skipped", code: "SESSION_DELETED" });
    expect(report).toMatchObject({ present: 10, skipped: 1 });
  });
});

describe("what is there already", () => {
  it("a user's own session here stays the one that getOrCreate finds", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    const sessions = createSessionManager({ backend: to });
    const own = await sessions.getOrCreate("assistant", "ada");
    const report = await importGoStore({ from, to });
    expect(report.sessions.find((one) => one.goId === goId("basic"))).toMatchObject({
      outcome: "imported",
      isLatest: false,
      notes: [expect.any(String), expect.stringContaining("another session here already")],
    });
    expect((await sessions.getOrCreate("assistant", "ada")).id).toBe(own.id);
    expect((await sessions.get(ourId("basic"))).userId).toBe("ada");
  });

  it("a session of that id that comes from elsewhere is not written over", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    const id = ourId("basic");
    const incarnation = newEntryId();
    const header = placeLine(
      emptyTip(incarnation),
      { id: newEntryId(), type: "session", data: JSON.stringify({ id, incarnation, agentName: "other" }) },
      0,
      1,
      new Date().toISOString(),
    );
    const info = { id, agentName: "other", version: 0, messageCount: 0, createdAt: "", updatedAt: "", metadata: {} };
    await to.create({
      ref: { id, incarnation },
      info,
      lines: async function* () {
        yield header.line;
      },
    });
    const before = await logOf(to, id);
    const report = await importGoStore({ from, to });
    expect(report.sessions.find((one) => one.goId === goId("basic"))).toMatchObject({
      outcome: "skipped",
      code: "KEY_EXISTS",
      reason: expect.stringMatching(/of agent "other" that was not imported from this one/),
    });
    expect(await logOf(to, id)).toBe(before);
  });

  it("an import that was killed behind its key and finished, empty, by getOrCreate is filled", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    const id = ourId("basic");
    const incarnation = newEntryId();
    const about = { id, agentName: "assistant", userId: "ada", key: "user:ada" };
    const header = placeLine(
      emptyTip(incarnation),
      { id: newEntryId(), type: "session", data: JSON.stringify({ ...about, incarnation, metadata: { plan: "gold" } }) },
      0,
      1,
      new Date().toISOString(),
    );
    const info = { ...about, version: 0, messageCount: 0, createdAt: "", updatedAt: "", metadata: { plan: "gold" } };
    await to.create({
      ref: { id, incarnation },
      info,
      lines: async function* () {
        yield header.line;
      },
    });
    expect(await importGoStore({ from, to })).toMatchObject({ imported: 11, skipped: 0 });
    const session = await createSessionManager({ backend: to }).getOrCreate("assistant", "ada");
    expect(session.id).toBe(id);
    expect(await session.messages()).toHaveLength(4);
    expect((await session.info()).metadata).toMatchObject({ plan: "gold", importedFrom: { sessionId: goId("basic") } });
    expect((await session.verify()).problems).toEqual([]);
  });

  it("a key that a dead process took, without making its session, goes to the import", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    const taken: (string | undefined)[] = [];
    const unfinished = wrap(to, {
      create: async (request) => {
        if (request.info.key === "user:ada") taken.push(request.onKey);
        // What a store does that finds a key whose session was never made: it finishes that one.
        if (request.info.key === "user:ada" && request.onKey !== "take") {
          const id = "f".repeat(32);
          return to.create({ ...request, ref: { ...request.ref, id }, lines: () => request.lines(id) });
        }
        return to.create(request);
      },
    });
    expect(await importGoStore({ from, to: unfinished })).toMatchObject({ imported: 11, skipped: 0 });
    expect(taken).toEqual([undefined, "take"]);
    expect((await createSessionManager({ backend: to }).getOrCreate("assistant", "ada")).id).toBe(ourId("basic"));
  });

  it("a store that cannot be used ends the import with its error", async () => {
    const from = fixtureCopy();
    const to = createMemoryBackend();
    await to.close();
    await expect(importGoStore({ from, to })).rejects.toMatchObject({ code: "BACKEND_CLOSED" });
  });
});

describe("a source that is in use", () => {
  it("is noticed: a file or an index that changes while it is read", async () => {
    const from = tempFolder();
    const id = writeGoSession(from, "assistant", { body: `${goLine({ text: "one" })}\n` });
    const to = createMemoryBackend();
    const slow = wrap(to, {
      create: async (request) => {
        appendFileSync(join(from, "assistant", `${id}.jsonl`), `${goLine({ text: "written meanwhile" })}\n`);
        return to.create(request);
      },
    });
    const report = await importGoStore({ from, to: slow });
    expect(report).toMatchObject({ imported: 1, isSourceInUse: true });
    expect(report.sessions[0]?.notes).toEqual([expect.stringContaining("changed while it was read: stop the Go process")]);
    // The next run takes what came late.
    expect(await importGoStore({ from, to })).toMatchObject({ updated: 1, isSourceInUse: false });

    const other = createMemoryBackend();
    const index = wrap(other, {
      create: async (request) => {
        writeFileSync(join(from, "assistant", "sessions.json"), "{}");
        return other.create(request);
      },
    });
    expect(await importGoStore({ from, to: index })).toMatchObject({ imported: 1, isSourceInUse: true });
  });

  it("a file that is replaced under the import fails its session, not the import, and is taken the next time", async () => {
    const from = tempFolder();
    const id = writeGoSession(from, "assistant", { body: `${goLine({ text: "one" })}\n` });
    const to = createMemoryBackend();
    const path = join(from, "assistant", `${id}.jsonl`);
    const cut = wrap(to, {
      create: async (request) => {
        writeFileSync(path, "");
        return to.create(request);
      },
    });
    const report = await importGoStore({ from, to: cut });
    expect(report.sessions).toMatchObject([{ outcome: "skipped", reason: "line 1 of the session changed while it was read" }]);
    rmSync(path);
    expect(await importGoStore({ from, to })).toMatchObject({ imported: 1 });
  });
});

async function* countLines(backend: SessionBackend): AsyncGenerator<string> {
  for (const log of Object.values(await logsOf(backend))) yield* log.trimEnd().split("\n");
}

describe("sessionIdOf", () => {
  it("keeps the digits of a UUID, makes an id of anything else, and refuses what is no text: a wrong id would look right", () => {
    expect(sessionIdOf("550E8400-E29B-41D4-A716-446655440000")).toBe("550e8400e29b41d4a716446655440000");
    expect(sessionIdOf("support-chat")).toMatch(/^[0-9a-f]{32}$/);
    for (const none of [undefined, null, 5, {}])
      expect(() => sessionIdOf(none as never)).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }) as Error);
  });
});
