import { describe, expect, it } from "vitest";
import { envelopeOf } from "../src/envelope.ts";
import { type Draft, emptyTip, placeLine, type Tip } from "../src/line.ts";

const TIME = "2026-01-02T03:04:05.678Z";
const header = placeLine(emptyTip("life"), { id: "h", type: "session", data: "{}" }, 0, 1, TIME);
const message = (id: string, more: Partial<Draft> = {}): Draft => ({ id, type: "message", data: "{}", ...more });
const first = placeLine(header.tip, message("m1"), 0, 1, TIME);
/** As its bytes say, whatever was remembered of building it. */
const read = ({ line }: { readonly line: Buffer }): ReturnType<typeof envelopeOf> => envelopeOf(Buffer.from(line));
const membersOf = (placed: { readonly line: Buffer }): string[] => Object.keys(read(placed));
const SCALARS = ["v", "seq", "id", "timestamp", "type"];

describe("where a log ends", () => {
  it("is before the header at first, with the incarnation for its hash", () => {
    expect(emptyTip("life")).toEqual({ seq: -1, hash: "life", headSeq: -1, headId: "", headHash: "life", n: 0 });
  });

  it("moves with each entry of the path, which becomes the head; only messages are counted", () => {
    expect(header.tip).toEqual({ seq: 0, hash: read(header).hash, headSeq: 0, headId: "h", headHash: read(header).hash, n: 0 });
    const { hash } = read(first);
    expect(first.tip).toEqual({ seq: 1, hash, headSeq: 1, headId: "m1", headHash: hash, n: 1 });
    expect(placeLine(first.tip, { id: "s", type: "state", data: "1" }, 0, 1, TIME).tip).toMatchObject({ seq: 2, headId: "s", n: 1 });
  });

  it("keeps its head behind a side entry, which names it", () => {
    const side = placeLine(first.tip, { id: "c", type: "checkpoint", side: {}, data: "{}" }, 0, 1, TIME);
    const { seq, hash, ...head } = first.tip;
    expect(side.tip).toEqual({ ...head, seq: seq + 1, hash: read(side).hash });
    expect(hash).not.toBe(read(side).hash);
    expect(read(side)).toMatchObject({ head: 1, n: 1 });
    expect(membersOf(side)).toEqual([...SCALARS, "head", "n", "hash"]);
  });

  it("goes where a restore says, with the count of there", () => {
    const to = { headSeq: 0, headId: "h", headHash: header.tip.hash, n: 0 };
    const restore = placeLine(first.tip, { id: "r", type: "restore", side: { to }, data: "{}" }, 0, 1, TIME);
    expect(restore.tip).toEqual({ ...to, seq: 2, hash: read(restore).hash });
    expect(read(restore)).toMatchObject({ head: 0, n: 0 });
    const sibling = placeLine(restore.tip, message("m2"), 0, 1, TIME);
    expect(read(sibling)).toMatchObject({ parentId: "h", parentSeq: 0, n: 1 });
    expect(membersOf(sibling)).toEqual(["v", "seq", "id", "parentId", "parentSeq", "timestamp", "type", "n", "hash"]);
  });

  it("waits for what the entry there waits for, until something grows from it", () => {
    const asked = placeLine(first.tip, { id: "t", type: "turn", data: "{}", waitsFor: ["r1"] }, 0, 1, TIME);
    expect(asked.tip.waitsFor).toEqual(["r1"]);
    const side = placeLine(asked.tip, { id: "c", type: "checkpoint", side: {}, data: "{}" }, 0, 1, TIME);
    expect(side.tip.waitsFor).toEqual(["r1"]);
    expect(placeLine(side.tip, message("m2"), 0, 1, TIME).tip).not.toHaveProperty("waitsFor");
    const to = { headSeq: 1, headId: "m1", headHash: first.tip.hash, n: 1 };
    expect(placeLine(asked.tip, { id: "r", type: "restore", side: { to }, data: "{}" }, 0, 1, TIME).tip).not.toHaveProperty("waitsFor");
    const back = { ...to, headSeq: 2, waitsFor: ["r1", "r2"] };
    expect(placeLine(asked.tip, { id: "r", type: "restore", side: { to: back }, data: "{}" }, 0, 1, TIME).tip.waitsFor).toEqual([
      "r1",
      "r2",
    ]);
  });
});

describe("a placed line", () => {
  it("has no member that says nothing", () => {
    expect(membersOf(first)).toEqual([...SCALARS, "n", "hash"]);
    expect(read(first)).toMatchObject({ v: 1, seq: 1, id: "m1", timestamp: TIME, type: "message", n: 1 });
  });

  it("names its op, batch, sync, turn and fence where it has them, zeros included", () => {
    const full = placeLine(header.tip, message("m", { op: 'u:"\u2028', turn: 0, fence: 0 }), 1, 2, TIME, 0);
    expect(read(full)).toMatchObject({ op: 'u:"\u2028', batch: [1, 2], sync: 0, turn: 0, fence: 0 });
    expect(membersOf(full)).toEqual([...SCALARS, "op", "batch", "sync", "n", "turn", "fence", "hash"]);
    expect(membersOf(placeLine(header.tip, message("m"), 0, 1, TIME, 7))).toEqual([...SCALARS, "sync", "n", "hash"]);
    expect(read(placeLine(header.tip, message("m"), 0, 2, TIME)).batch).toEqual([0, 2]);
  });

  it("keeps the time of what it is a copy of", () => {
    const then = "2020-01-01T00:00:00.000Z";
    expect(read(placeLine(header.tip, message("m", { timestamp: then }), 0, 1, TIME)).timestamp).toBe(then);
  });

  it("makes its data where it is placed, if the data depend on that", () => {
    const seen: Tip[] = [];
    const data = (place: Tip): string => `{"after":${seen.push(place)}}`;
    const { line } = placeLine(first.tip, message("m", { data }), 0, 1, TIME);
    expect(line.toString()).toContain(',"data":{"after":1},"hash":"');
    expect(seen).toEqual([first.tip]);
  });
});
