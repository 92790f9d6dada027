import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Message, textOf } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { importGoStore } from "@aixgo/migrate-go";
import { fixtureCopy, goId, goLine, goTime, ourId, tempFolder, uuid, writeGoSession } from "./support/go-store.ts";
import { importOne, storeOf } from "./support/imported.ts";

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
