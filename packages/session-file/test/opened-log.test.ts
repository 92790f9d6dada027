import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSessionManager } from "@aixgo/session";
import { builtLine, type SessionBackend } from "@aixgo/session/backend";
import { EntryMarks } from "../src/entry-marks.ts";
import { append, createWith, LineWriter, open, readAll, temporaryStore, textOf } from "./support/writer.ts";

let store: string;
let writing: SessionBackend;
let reading: SessionBackend;

beforeEach(() => {
  store = temporaryStore();
  writing = open(store);
  reading = open(store);
});
afterEach(async () => {
  await writing.close();
  await reading.close();
  rmSync(store, { recursive: true, force: true });
});

describe("a log that was just opened", () => {
  it("is read as it is now, also in the same turn of the event loop", async () => {
    const writer = await createWith(writing, 3);
    await reading.head(writer.ref.id);
    expect(await readAll(reading, writer.ref)).toHaveLength(4);
    const other = await createWith(writing, 3);
    await reading.head(other.ref.id);
    await append(writing, other, "since it was opened");
    const lines = await readAll(reading, other.ref);
    expect(lines).toHaveLength(5);
    expect(lines.slice(1).map(textOf).at(-1)).toBe("since it was opened");
  });

  it("is read in parts as well as whole", async () => {
    const writer = await createWith(writing, 5);
    await reading.head(writer.ref.id);
    const pages: Buffer[] = [];
    for await (const page of reading.read(writer.ref, { from: 2, to: 3 })) pages.push(Buffer.from(page));
    expect(
      Buffer.concat(pages)
        .toString()
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { seq: number }).seq),
    ).toEqual([2, 3]);
  });

  it("is read anew later: what was damaged meanwhile is found", async () => {
    const writer = await createWith(writing, 3);
    await reading.head(writer.ref.id);
    await turn();
    await turn();
    const path = join(store, writer.agentName, `${writer.ref.id}.jsonl`);
    const bytes = readFileSync(path);
    const at = bytes.indexOf('"text":"') + 8;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(path, bytes);
    await expect(readAll(reading, writer.ref)).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
  });
});

describe("lines that this process has built", () => {
  /** A manager over the store, and the lines that it hands over. */
  function watched(): { manager: ReturnType<typeof createSessionManager>; handed: Uint8Array[] } {
    const handed: Uint8Array[] = [];
    const backend: SessionBackend = {
      ...writing,
      append: (ref, request) => {
        handed.push(...request.lines);
        expect(request.lines.every((line) => builtLine(line) !== undefined)).toBe(true);
        return writing.append(ref, request);
      },
    };
    return { manager: createSessionManager({ backend }), handed };
  }

  it("are written so that whoever reads the bytes finds the chain whole", async () => {
    const { manager } = watched();
    const session = await manager.create("writer");
    await Promise.all(Array.from({ length: 20 }, (_, index) => session.append([`a ${index}`, `b ${index}`])));
    const { id: checkpoint } = await session.checkpoint();
    await session.append("then");
    await session.restore(checkpoint);
    await session.append("after the restore");
    const elsewhere = createSessionManager({ backend: reading });
    const read = await elsewhere.get(session.id);
    expect(await read.verify()).toEqual({ entries: 45, problems: [] });
    expect(await read.messages()).toHaveLength(41);
  });

  it("are refused behind any other line than the one they were built behind", async () => {
    const { manager, handed } = watched();
    const session = await manager.create("writer");
    await session.append("first");
    const seen = handed[0] as Uint8Array;
    const other = await createWith(writing, 0);
    // With the right seq, behind another hash.
    const before = readFileSync(join(store, other.agentName, `${other.ref.id}.jsonl`));
    await expect(writing.append(other.ref, { expect: other.position, lines: [seen] })).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    expect(readFileSync(join(store, other.agentName, `${other.ref.id}.jsonl`))).toEqual(before);
  });

  it("are refused if a batch among them is not whole", async () => {
    const { manager, handed } = watched();
    const session = await manager.create("writer");
    const failing: SessionBackend = {
      ...writing,
      append: async (_, request) => (handed.push(...request.lines), Promise.reject(new Error("no"))),
    };
    const dry = createSessionManager({ backend: failing });
    await expect((await dry.get(session.id)).append(["one", "two", "three"])).rejects.toThrow("no");
    const lines = handed.slice(-3);
    const head = await writing.head(session.id);
    const ref = { id: session.id, incarnation: head.incarnation };
    const expected = { seq: head.seq, hash: head.hash };
    for (const part of [lines.slice(0, 2), lines.slice(1), [lines[0], lines[2]], [...lines, lines[0]]])
      await expect(writing.append(ref, { expect: expected, lines: part as Uint8Array[] })).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    expect(await writing.append(ref, { expect: expected, lines })).toHaveProperty("head.seq", head.seq + 3);
  });
});

describe("ids that are remembered", () => {
  it("are the latest thousand, and not many more", () => {
    const marks = new EntryMarks();
    const line = new LineWriter();
    for (let seq = 0; seq < 5000; seq += 1)
      marks.seen({ v: 1, seq, id: `id-${seq}`, timestamp: "", type: "message", n: 0, hash: line.hash });
    for (let seq = 5000 - 1024; seq < 5000; seq += 1) expect(marks.seqOfId(`id-${seq}`)).toBe(seq);
    for (let seq = 0; seq < 5000 - 2048; seq += 1) expect(marks.seqOfId(`id-${seq}`)).toBeUndefined();
    marks.forget();
    expect(marks.seqOfId("id-4999")).toBeUndefined();
  });
});
