import { createHash } from "node:crypto";
import { isAixgoError, type Json } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { builtLine, dataOf, entryOf, envelopeOf as envelopeOfLine, expectedHash, expectedHashIn, fold, type Head } from "../src/backend.ts";
import { emptyTip, placeLine } from "../src/line.ts";

const TIME = "2026-01-02T03:04:05.678Z";
const header = placeLine(
  emptyTip("life"),
  { id: "h", type: "session", data: JSON.stringify({ id: "s", incarnation: "life", agentName: "a", metadata: { x: 1 } }) },
  0,
  1,
  TIME,
);

/** As a reader sees it, who has only the bytes. */
const read = (line: Uint8Array): Buffer => Buffer.from(line);
const envelopeOf = (line: Uint8Array): ReturnType<typeof envelopeOfLine> => envelopeOfLine(read(line));

describe("a line of the log", () => {
  it("has its scalars first, then data, then the hash", () => {
    expect(header.line.toString()).toMatch(
      /^\{"v":1,"seq":0,"id":"h","timestamp":"2026-01-02T03:04:05\.678Z","type":"session","n":0,"data":\{.*\},"hash":"[\w-]{43}"\}$/,
    );
  });

  it("hashes the bytes that lie before its hash in the file, the previous hash included", () => {
    const next = placeLine(header.tip, { id: "m", type: "message", data: '{"role":"user","parts":[]}' }, 0, 1, TIME);
    const file = Buffer.concat([header.line, Buffer.from("\n"), next.line, Buffer.from("\n")]).toString();
    const start = file.indexOf(header.tip.hash);
    const end = file.lastIndexOf(',"hash":');
    expect(createHash("sha256").update(file.slice(start, end)).digest("base64url")).toBe(next.tip.hash);
  });

  it("names its parent only where that is not the previous line", () => {
    const message = placeLine(header.tip, { id: "m1", type: "message", data: "{}" }, 0, 1, TIME);
    const checkpoint = placeLine(message.tip, { id: "c", type: "checkpoint", side: {}, data: "{}" }, 0, 1, TIME);
    const next = placeLine(checkpoint.tip, { id: "m2", type: "message", data: "{}" }, 0, 1, TIME);
    expect(envelopeOf(message.line)).not.toHaveProperty("parentId");
    expect(envelopeOf(checkpoint.line)).toMatchObject({ head: 1, n: 1 });
    expect(envelopeOf(next.line)).toMatchObject({ parentId: "m1", parentSeq: 1, n: 2 });
  });

  it("is sliced without parsing its data, whatever the data and op hold", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ unit: "grapheme" }), (data, op) => {
        const { line, tip } = placeLine(header.tip, { id: "m", type: "message", data: JSON.stringify(data), op: `u:${op}` }, 0, 1, TIME);
        expect(envelopeOf(line)).toMatchObject({ seq: 1, id: "m", op: `u:${op}`, hash: tip.hash });
        expect(JSON.stringify(dataOf(line))).toBe(JSON.stringify(data));
        expect(entryOf(line).hash).toBe(tip.hash);
        expect(expectedHash(header.tip.hash, line)).toBe(tip.hash);
      }),
      { numRuns: 500 },
    );
  });

  it("keeps members that this version does not know, objects before the data included", () => {
    const { line } = placeLine(
      header.tip,
      { id: "m", type: "message", data: '{"a":1}', unknown: ',"later":{"data":[1],"x":2}' },
      0,
      1,
      TIME,
    );
    expect(envelopeOf(line)).toMatchObject({ later: { data: [1], x: 2 }, seq: 1 });
    expect(envelopeOf(line)).not.toHaveProperty("data");
    expect(dataOf(line)).toEqual({ a: 1 } satisfies Json);
  });

  it("is hashed as a view of the page when it lies behind its predecessor there, and by a copy when it does not", () => {
    const next = placeLine(header.tip, { id: "m", type: "message", data: '"ü"' }, 0, 1, TIME);
    const page = Buffer.concat([header.line, Buffer.from("\n"), next.line]);
    expect(expectedHashIn(page, header.line.length + 1, page.length, header.tip.hash)).toBe(next.tip.hash);
    expect(expectedHashIn(next.line, 0, next.line.length, header.tip.hash)).toBe(next.tip.hash);
  });

  it.each([
    ["nothing", ""],
    ["no data", '{"v":1,"seq":0}'],
    ["no hash", '{"v":1,"seq":0,"id":"x","n":0,"type":"t","data":{}}'],
    ["a hash of another length", header.line.toString().replace(/.{3}"\}$/, '"}')],
    ["no seq", header.line.toString().replace('"seq":0,', "")],
    ["a negative seq", header.line.toString().replace('"seq":0,', '"seq":-1,')],
  ])("is corrupt with %s", (_, text) => {
    expect(() => envelopeOf(Buffer.from(text))).toThrow(expect.objectContaining({ code: "ENTRY_CORRUPT" }) as Error);
  });

  it("of a later format asks for an update instead of being read wrongly", () => {
    const later = Buffer.from(header.line.toString().replace('"v":1', '"v":2'));
    expect(() => envelopeOf(later)).toThrow(expect.objectContaining({ code: "UNSUPPORTED_ENTRY" }) as Error);
  });
});

describe("a line that was built here", () => {
  const place = fc.record({
    seq: fc.nat(),
    isBehindHead: fc.boolean(),
    side: fc.constantFrom(undefined, {}, { to: { headSeq: 0, headId: "h", headHash: header.tip.hash, n: 0 } }),
    op: fc.option(fc.string({ unit: "grapheme" }), { nil: undefined }),
    batch: fc.tuple(fc.nat(5), fc.integer({ min: 1, max: 6 })),
    sync: fc.option(fc.nat(), { nil: undefined }),
    turn: fc.option(fc.nat(), { nil: undefined }),
    fence: fc.option(fc.nat(), { nil: undefined }),
    type: fc.constantFrom("message" as const, "turn" as const, "metadata" as const),
    data: fc.jsonValue(),
  });

  it("is known as its bytes say, member for member", () => {
    fc.assert(
      fc.property(place, ({ seq, isBehindHead, side, op, batch: [index, of], sync, turn, fence, type, data }) => {
        const tip = { ...header.tip, seq: isBehindHead ? seq + 1 : seq, headSeq: seq, headId: "p" };
        const draft = {
          id: "m",
          type,
          data: JSON.stringify(data),
          ...(side === undefined ? undefined : { side }),
          ...(op === undefined ? undefined : { op }),
          ...(turn === undefined ? undefined : { turn }),
          ...(fence === undefined ? undefined : { fence }),
        };
        const { line } = placeLine(tip, draft, index, of, TIME, sync);
        expect(builtLine(line)).toEqual({ envelope: envelopeOf(line), previousHash: tip.hash });
        expect(Object.keys(builtLine(line)?.envelope ?? {}).sort()).toEqual(Object.keys(envelopeOf(line)).sort());
      }),
      { numRuns: 1000 },
    );
  });

  it("is vouched for only as that very piece of memory", () => {
    expect(builtLine(header.line)).toBeDefined();
    for (const other of [read(header.line), header.line.subarray(), new Uint8Array(header.line), structuredClone(header.line)])
      expect(builtLine(other)).toBeUndefined();
  });

  it("with members that this version does not know is read from its bytes", () => {
    const { line } = placeLine(header.tip, { id: "m", type: "message", data: "{}", unknown: ',"later":1' }, 0, 1, TIME);
    expect(builtLine(line)).toBeUndefined();
    expect(envelopeOfLine(line)).toMatchObject({ later: 1 });
  });
});

describe("the head", () => {
  const folded = (head: Head | undefined, ...lines: readonly Buffer[]): Head =>
    lines.reduce<Head | undefined>((before, line) => fold(before, line), head) as Head;

  it("follows from the lines alone", () => {
    const message = placeLine(header.tip, { id: "m", type: "message", data: "{}", turn: 1, fence: 3 }, 0, 1, "2026-01-02T03:04:06.000Z");
    const metadata = placeLine(message.tip, { id: "x", type: "metadata", side: {}, data: '{"x":2}' }, 0, 1, "2026-01-02T03:04:05.000Z");
    const restore = placeLine(
      metadata.tip,
      { id: "r", type: "restore", side: { to: { headSeq: 0, headId: "h", headHash: header.tip.hash, n: 0 } }, data: "{}" },
      0,
      1,
      TIME,
    );
    const head = folded(undefined, header.line, message.line, metadata.line, restore.line);
    expect(head).toMatchObject({ id: "s", incarnation: "life", seq: 3, headSeq: 0, fence: 3, hash: restore.tip.hash });
    expect(head.info).toMatchObject({
      version: 3,
      messageCount: 0,
      createdAt: TIME,
      updatedAt: "2026-01-02T03:04:06.000Z",
      metadata: { x: 2 },
    });
    expect(head.bytes).toBe([header, message, metadata, restore].reduce((sum, { line }) => sum + line.length + 1, 0));
  });

  it("refuses a line that does not follow, and a log that does not begin with a header", () => {
    const skipped = placeLine({ ...header.tip, seq: 1 }, { id: "m", type: "message", data: "{}" }, 0, 1, TIME);
    for (const lines of [[header.line, skipped.line], [header.line, header.line], [skipped.line]]) {
      expect(() => folded(undefined, ...lines)).toThrow(expect.objectContaining({ code: "ENTRY_CORRUPT" }) as Error);
    }
  });

  it("remembers the first type that this version neither knows nor may skip", () => {
    const unknown = { id: "u", type: "poem" as "message", data: "{}" };
    const strict = placeLine(header.tip, unknown, 0, 1, TIME);
    const skippable = placeLine(header.tip, { ...unknown, unknown: ',"opt":true' }, 0, 1, TIME);
    expect(folded(undefined, header.line, strict.line).unsupported).toBe("poem");
    expect(folded(undefined, header.line, skippable.line).unsupported).toBeUndefined();
    expect(isAixgoError(new Error("x"))).toBe(false);
  });
});
