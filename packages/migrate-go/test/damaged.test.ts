import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Message, textOf } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type SessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { importGoStore, type ImportedSession, type ImportReport } from "@aixgo/migrate-go";
import {
  contentsOf,
  fixtureCopy,
  goId,
  goLine,
  type GoLineSpec,
  goTime,
  ourId,
  tempFolder,
  uuid,
  writeGoSession,
} from "./support/go-store.ts";

interface Imported {
  readonly report: ImportReport;
  readonly session: ImportedSession;
  readonly sessions: SessionManager;
  readonly messages: readonly Message[];
  readonly texts: readonly string[];
}

/** Imports a store with one session, and checks what must hold whatever was damaged. */
async function importOne(from: string, options: Partial<Parameters<typeof importGoStore>[0]> = {}): Promise<Imported> {
  const backend = createMemoryBackend();
  const before = contentsOf(from);
  const report = await importGoStore({ from, to: backend, ...options });
  expect(contentsOf(from)).toEqual(before);
  const session = report.sessions[0] as ImportedSession;
  const sessions = createSessionManager({ backend });
  if (session.outcome === "skipped") {
    expect((await sessions.list()).items).toEqual([]);
    return { report, session, sessions, messages: [], texts: [] };
  }
  const opened = await sessions.get(session.id as string);
  expect((await opened.verify()).problems).toEqual([]);
  const messages = await opened.messages();
  expect(messages).toHaveLength(session.messages);
  await opened.append("and it can be gone on with");
  return { report, session, sessions, messages, texts: messages.map((message) => textOf(message)) };
}

/** A store of one session with these lines, each ended, each the child of the one before unless it says otherwise. */
function storeOf(lines: readonly (string | GoLineSpec)[], meta?: Parameters<typeof writeGoSession>[2]["meta"], end = "\n"): string {
  const base = tempFolder();
  let parentId: string | undefined;
  const texts = lines.map((line, index) => {
    if (typeof line === "string") return line;
    const id = line.id ?? uuid();
    const text = goLine({ timestamp: goTime(index + 1), ...(parentId === undefined ? undefined : { parentId }), ...line, id });
    parentId = id;
    return text;
  });
  writeGoSession(base, "assistant", { body: texts.join("\n") + end, ...(meta === undefined ? undefined : { meta }) });
  return base;
}

describe("a damaged file of entries", () => {
  it("cut anywhere: every whole entry is there, and the rest is named", async () => {
    const whole = fixtureCopy();
    const path = (base: string): string => join(base, "assistant", `${goId("basic")}.jsonl`);
    const bytes = readFileSync(path(whole));
    const ends = [...bytes.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at);
    for (let size = 0; size <= bytes.length; size += 53) {
      truncateSync(path(whole), 0);
      writeFileSync(path(whole), bytes.subarray(0, size));
      const backend = createMemoryBackend();
      const report = await importGoStore({ from: whole, to: backend, agent: "assistant" });
      const session = await createSessionManager({ backend }).get(ourId("basic"));
      // A last entry without its line end is whole, too.
      expect((await session.messages()).length).toBe(ends.filter((at) => at <= size).length);
      expect((await session.verify()).problems).toEqual([]);
      const notes = report.sessions.find((one) => one.goId === goId("basic"))?.notes ?? [];
      const isTorn = size > 0 && !ends.includes(size) && !ends.includes(size - 1);
      expect({ size, torn: notes.some((note) => note.includes("is torn")) }).toEqual({ size, torn: isTorn });
    }
  });

  it("a last line without its end, but whole, counts", async () => {
    const { texts, session } = await importOne(storeOf([{ text: "one" }, { text: "two" }], undefined, ""));
    expect(texts).toEqual(["one", "two"]);
    expect(session.notes).toEqual([]);
  });

  it("a line that is no entry is left out, and those behind it follow", async () => {
    const { texts, session } = await importOne(
      storeOf([{ text: "one" }, "\0\0\0\0", "{]", '"text"', '{"id":7,"type":"message"}', { text: "two" }]),
    );
    expect(texts).toEqual(["one", "two"]);
    expect(session.notes).toEqual([
      "line 2 (4 bytes) is no entry: left out",
      "line 3 (2 bytes) is no entry: left out",
      "line 4 (6 bytes) is no entry: left out",
      "line 5 (25 bytes) is no entry: left out",
    ]);
  });

  it("an append behind a torn one: the torn one is left out, the other kept", async () => {
    const torn = goLine({ text: "torn" }).slice(0, 150);
    const { texts, session } = await importOne(
      storeOf([{ text: "one" }, torn + goLine({ text: "two", timestamp: goTime(9), parentId: "gone" })]),
    );
    expect(texts).toEqual(["one", "two"]);
    expect(session.notes).toEqual([
      "line 2 begins with 150 bytes of a torn entry: left out; the entry behind it is kept",
      "line 2 names a parent that is not before it: it follows the entry before it",
    ]);
  });

  it("two entries in one line are two", async () => {
    const a = uuid();
    const { texts, session } = await importOne(storeOf([goLine({ id: a, text: "one" }) + goLine({ text: "two", parentId: a })]));
    expect(texts).toEqual(["one", "two"]);
    expect(session.notes).toEqual(["line 1 holds two entries without a line end between them: both are kept"]);
  });

  it("a lost entry: its children follow the one before", async () => {
    const { texts, session } = await importOne(storeOf([{ text: "one" }, { text: "two", parentId: "lost" }, { text: "three" }]));
    expect(texts).toEqual(["one", "two", "three"]);
    expect(session.notes).toEqual(["line 2 names a parent that is not before it: it follows the entry before it"]);
  });

  it("a parent that comes later, or is the entry itself, makes no circle", async () => {
    const [a, b] = [uuid(), uuid()];
    const { texts } = await importOne(
      storeOf([
        { id: a, parentId: b, text: "one" },
        { id: b, parentId: b, text: "two" },
      ]),
    );
    expect(texts).toEqual(["one", "two"]);
  });

  it("an entry that is there twice counts once; two entries with one id are two", async () => {
    const a = uuid();
    const line = goLine({ id: a, text: "one" });
    const { texts, session, sessions } = await importOne(
      storeOf([line, line, goLine({ id: a, text: "another", timestamp: goTime(2), parentId: a })]),
    );
    expect(texts).toEqual(["one", "another"]);
    expect(session.notes).toEqual([
      "line 2 is a copy of an entry before it: left out",
      "line 3 has the id of another entry before it: it gets an id of its own",
    ]);
    const ids: string[] = [];
    for await (const { id } of (await sessions.get(session.id as string)).entries()) ids.push(id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("bytes that are no UTF-8 and half surrogates become U+FFFD, with a note", async () => {
    const base = tempFolder();
    const line = Buffer.from(goLine({ text: "a#b" }).replace("#", "\u0001"));
    line[line.indexOf(1)] = 0xff;
    const half = goLine({ text: "c", parentId: JSON.parse(line.toString("latin1")).id as string }).replace(
      '"payload":"{\\"content\\":\\"c\\"}"',
      '"payload":"plain \\ud800 text"',
    );
    writeGoSession(base, "assistant", { body: Buffer.concat([line, Buffer.from(`\n${half}\n`)]) });
    const { texts, session } = await importOne(base);
    expect(texts).toEqual(["a\ufffdb", "plain \ufffd text"]);
    expect(session.notes).toEqual([
      "line 1 holds bytes that are no UTF-8: U+FFFD stands for them",
      "line 2 holds half of a surrogate pair: U+FFFD stands for it",
    ]);
  });

  it("entries of a type that is not known are left out, and those behind them follow", async () => {
    const { texts, session } = await importOne(storeOf([{ text: "one" }, { type: "summary", data: { text: "s" } }, { text: "two" }]));
    expect(texts).toEqual(["one", "two"]);
    expect(session.notes).toEqual(['line 2 is of type "summary", which is not known: left out']);
  });

  it("entries of type metadata and checkpoint, which the Go release defines and never writes, mean what they say", async () => {
    const mark = uuid();
    const { sessions, session } = await importOne(
      storeOf([
        { text: "one" },
        { type: "metadata", data: { plan: "gold" } },
        { id: mark, type: "checkpoint", data: { label: "here" } },
        { text: "two" },
      ]),
    );
    const opened = await sessions.get(session.id as string);
    expect((await opened.info()).metadata).toMatchObject({ plan: "gold", importedFrom: { store: "aixgo-go" } });
    await opened.restore(mark);
    expect((await opened.messages()).map((message) => textOf(message))).toEqual(["one"]);
  });

  it("entries without a time take that of the one before", async () => {
    const { sessions, session } = await importOne(
      storeOf([{ timestamp: goTime(1) }, { timestamp: "soon" }, { timestamp: "0001-01-01T00:00:00Z" }]),
    );
    const times: string[] = [];
    for await (const entry of (await sessions.get(session.id as string)).entries())
      if (entry.type === "message") times.push(entry.timestamp);
    expect(times.slice(0, 3)).toEqual(Array.from({ length: 3 }, () => new Date(Date.parse(goTime(1))).toISOString()));
    expect(session.notes).toHaveLength(2);
  });

  it("ids that cannot stand in a log are made anew, and still mean what they meant", async () => {
    const odd = 'a "b" \n c';
    const { texts, messages } = await importOne(
      storeOf([
        { id: odd, text: "one" },
        { text: "two", parentId: odd },
      ]),
    );
    expect(texts).toEqual(["one", "two"]);
    expect(messages).toHaveLength(2);
  });

  it("long message ids, deep metadata and a metadata member of our own name are kept, not refused", async () => {
    const data = { type: "user", payload: "text" };
    const nested = (depth: number): string =>
      goLine({ id: `d${depth}`, parentId: depth === 300 ? "a" : "d300", data: { ...data, id: "b", metadata: { deep: 0 } } }).replace(
        '"deep":0',
        `"deep":${"[".repeat(depth)}${"]".repeat(depth)}`,
      );
    const { messages, session } = await importOne(
      storeOf([
        { id: "a", data: { ...data, id: "x".repeat(300) } },
        nested(300),
        nested(50_000),
        { parentId: "d50000", data: { ...data, id: "c", metadata: { goMessage: { mine: true }, other: 1 } } },
      ]),
    );
    expect(messages.map(({ id }) => id)).toEqual([expect.any(String), "b", "b", "c"]);
    expect(messages[0]?.metadata).toMatchObject({ goMessage: { id: "x".repeat(300) } });
    expect(messages[1]?.metadata).toEqual({ goMessage: { form: "text", metadataText: `{"deep":${"[".repeat(300)}${"]".repeat(300)}}` } });
    expect(messages[2]?.metadata).toEqual({ goMessage: { form: "text" } });
    expect(messages[3]?.metadata).toEqual({ goMessage: { form: "text", metadata: { goMessage: { mine: true }, other: 1 } }, other: 1 });
    expect(session.notes).toEqual([
      expect.stringMatching(/^line 1: its message's id is longer/),
      expect.stringMatching(/^line 2: its metadata is refused .*it stands as text in metadata\.goMessage/),
      expect.stringMatching(/^line 3: its metadata is refused .*it is left out/),
    ]);
  });

  it("numbers: those that JavaScript would round are texts, all others are numbers", async () => {
    const raw =
      '{"a":9007199254740993,"b":9007199254740992,"c":-9223372036854775808,"d":1e300,"e":0.1234567890123456789,"f":"9007199254740993","g":123}';
    const { messages } = await importOne(
      storeOf([goLine({ data: { id: "m", metadata: "#", payload: 'a "number" 9007199254740993', type: "user" } }).replace('"#"', raw)]),
    );
    const { goMessage, ...metadata } = messages[0]?.metadata ?? {};
    expect(metadata).toEqual({
      a: "9007199254740993",
      b: 9007199254740992,
      c: "-9223372036854775808",
      d: 1e300,
      e: 0.12345678901234568,
      f: "9007199254740993",
      g: 123,
    });
    expect(goMessage).toEqual({ form: "text" });
    expect(textOf(messages[0] as Message)).toBe('a "number" 9007199254740993');
  });

  it("a message larger than the store takes: its session is left out, with the line", async () => {
    const base = storeOf([{ text: "one" }, { text: "x".repeat(20_000) }]);
    const backend = createMemoryBackend({ maxLineBytes: 16_384 });
    const report = await importGoStore({ from: base, to: backend });
    expect(report.sessions).toMatchObject([
      { outcome: "skipped", code: "LIMIT_EXCEEDED", reason: expect.stringMatching(/line 2 becomes .* maxLineBytes/) },
    ]);
    expect((await backend.list({})).items).toEqual([]);
  });

  it("notes are bounded", async () => {
    const { session } = await importOne(storeOf([{ text: "one" }, ...Array.from({ length: 100 }, () => "{]")]));
    expect(session.notes).toHaveLength(21);
    expect(session.notes.at(-1)).toBe("and 80 more of the kind");
  });

  it("an empty file is an empty session", async () => {
    const base = tempFolder();
    writeGoSession(base, "assistant", { body: "" });
    expect((await importOne(base)).session).toMatchObject({ outcome: "imported", messages: 0, notes: [] });
  });

  it("what is no plain file is not read", async () => {
    const base = storeOf([{ text: "one" }]);
    const id = uuid();
    writeGoSession(base, "assistant", { id });
    symlinkSync("/etc/hostname", join(base, "assistant", `${id}.jsonl`));
    const folder = writeGoSession(base, "assistant", {});
    mkdirSync(join(base, "assistant", `${folder}.jsonl`));
    const report = await importGoStore({ from: base, to: createMemoryBackend() });
    expect(report).toMatchObject({ imported: 1, skipped: 2 });
    for (const bad of report.sessions.filter(({ outcome }) => outcome === "skipped")) expect(bad.reason).toContain("no plain file");
  });
});

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
