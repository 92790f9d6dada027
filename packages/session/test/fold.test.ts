import type { Json } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { fold, type Head } from "../src/backend.ts";
import { HeadFold } from "../src/fold.ts";
import { emptyTip, placeLine } from "../src/line.ts";

const at = (second: number): string => `2026-01-02T03:04:0${second}.000Z`;
const DATA = { id: "s", incarnation: "life", agentName: "a", userId: "u", tenantId: "t", key: "k", metadata: { x: 1 } };
type Draft = Parameters<typeof placeLine>[1];
const headerOf = (data: Json, type: Draft["type"] = "session"): ReturnType<typeof placeLine> =>
  placeLine(emptyTip("life"), { id: "h", type, data: JSON.stringify(data) }, 0, 1, at(1));
const header = headerOf(DATA);

/** Lines one behind the other, a second apart. */
function lines(...drafts: readonly Omit<Draft, "id">[]): ReturnType<typeof placeLine>[] {
  const placed = [header];
  for (const [index, draft] of drafts.entries())
    placed.push(placeLine((placed.at(-1) as typeof header).tip, { id: `e${index}`, ...draft } as Draft, 0, 1, at(index + 2)));
  return placed;
}
const corrupt = (message: RegExp): Error =>
  expect.objectContaining({ code: "ENTRY_CORRUPT", message: expect.stringMatching(message) }) as Error;

describe("a fold of one line after another", () => {
  it("begins with what the header says, and keeps who the session belongs to", () => {
    const start = fold(undefined, header.line);
    const { metadata, ...owner } = DATA;
    const { incarnation, ...info } = owner;
    expect(start).toEqual({
      id: "s",
      incarnation,
      seq: 0,
      hash: header.tip.hash,
      headSeq: 0,
      fence: 0,
      bytes: header.line.length + 1,
      info: { ...info, version: 0, messageCount: 0, createdAt: at(1), updatedAt: at(1), metadata },
    });
    const [, message] = lines({ type: "message", data: "{}" });
    const next = fold(start, (message as typeof header).line);
    expect(next.info).toEqual({ ...start.info, version: 1, messageCount: 1, updatedAt: at(2) });
    expect(next).toMatchObject({ headSeq: 1, seq: 1, incarnation: "life" });
  });

  it("has no member of what the session has not", () => {
    const { line, tip } = headerOf({ id: "s", incarnation: "life", agentName: "a" });
    const start = fold(undefined, line);
    const next = fold(start, placeLine(tip, { id: "m", type: "message", data: "{}" }, 0, 1, at(2)).line);
    for (const head of [start, next]) {
      expect(Object.keys(head).toSorted()).toEqual(["bytes", "fence", "hash", "headSeq", "id", "incarnation", "info", "seq"]);
      expect(Object.keys(head.info).toSorted()).toEqual([
        "agentName",
        "createdAt",
        "id",
        "messageCount",
        "metadata",
        "updatedAt",
        "version",
      ]);
      expect(head.info.metadata).toEqual({});
    }
  });

  it("keeps lease and wrapped keys, which are the store's own", () => {
    const keys = Uint8Array.of(1);
    const lease = { fence: 3, holder: "h", expiresInMs: 5 };
    const [, message] = lines({ type: "message", data: "{}" });
    expect(fold({ ...fold(undefined, header.line), lease, keys }, (message as typeof header).line)).toMatchObject({ lease, keys });
  });

  it("knows the highest fence and the latest time, whatever order they come in", () => {
    const placed = lines({ type: "message", data: "{}", turn: 1, fence: 4 }, { type: "message", data: "{}", turn: 1, fence: 2 });
    const early = placeLine((placed[2] as typeof header).tip, { id: "x", type: "message", data: "{}" }, 0, 1, at(0));
    const head = [...placed, early].reduce<Head | undefined>((before, { line }) => fold(before, line), undefined);
    expect(head).toMatchObject({ fence: 4, seq: 3 });
    expect(head?.info.updatedAt).toBe(at(3));
  });

  it("is the same line by line and all at once, and takes the head up where another left it", () => {
    const placed = lines(
      { type: "message", data: "{}" },
      { type: "metadata", side: {}, data: '{"x":2}' },
      { type: "poem" as "message", data: "{}" },
      { type: "verse" as "message", data: "{}" },
      { type: "checkpoint", side: {}, data: "{}" },
    );
    const single = placed.reduce<Head | undefined>((before, { line }) => fold(before, line), undefined) as Head;
    expect(single).toMatchObject({ unsupported: "poem", headSeq: 4, seq: 5, info: { metadata: { x: 2 } } });
    for (let cut = 0; cut <= placed.length; cut += 1) {
      const whole = new HeadFold(undefined);
      expect([whole.seq, whole.hash, whole.bytes, whole.head]).toEqual([-1, "", 0, undefined]);
      for (const { line } of placed.slice(0, cut)) whole.push(line);
      const rest = new HeadFold(whole.head);
      expect([rest.seq, rest.hash, rest.bytes]).toEqual([whole.seq, whole.hash, whole.bytes]);
      for (const { line } of placed.slice(cut)) rest.push(line);
      expect(rest.head).toEqual(single);
      expect(rest.head).toBe(rest.head);
      expect([rest.seq, rest.hash, rest.bytes]).toEqual([single.seq, single.hash, single.bytes]);
    }
  });
});

describe("a fold refuses", () => {
  it("a line that does not follow, by the place that is due, and takes nothing of it in", () => {
    const [, , third] = lines({ type: "message", data: "{}" }, { type: "message", data: "{}" });
    const folding = new HeadFold(fold(undefined, header.line));
    const due = { message: "entry 2 stands where entry 1 of session s is due", details: { session: "s", seq: 1 } };
    expect(() => folding.push((third as typeof header).line)).toThrow(expect.objectContaining({ code: "ENTRY_CORRUPT", ...due }) as Error);
    expect([folding.seq, folding.hash]).toEqual([0, header.tip.hash]);
  });

  it.each<[string, Buffer]>([
    [
      "a first line that is not the first",
      placeLine({ ...header.tip, seq: 4 }, { id: "h", type: "session", data: JSON.stringify(DATA) }, 0, 1, at(1)).line,
    ],
    ["another type", headerOf(DATA, "message").line],
    ["a header without data", headerOf(null).line],
    ["a header without an id", headerOf({ ...DATA, id: 5 }).line],
    ["a header without an incarnation", headerOf({ ...DATA, incarnation: null }).line],
    ["a header without an agent", headerOf({ ...DATA, agentName: [] }).line],
  ])("%s as the beginning of a log", (_, line) => {
    expect(() => fold(undefined, line)).toThrow(corrupt(/does not begin with a session header/));
  });
});
