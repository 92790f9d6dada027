import { describe, expect, it } from "vitest";
import type { Entry } from "../src/index.ts";
import { type Draft, emptyTip, placeLine } from "../src/line.ts";
import { isPathEntry, parentOf, Tree, Verifier } from "../src/tree.ts";

const TIME = "2026-01-02T03:04:05.678Z";
const text = (value: string): Draft["data"] => JSON.stringify({ role: "user", parts: [{ type: "text", text: value }] });
type Placed = ReturnType<typeof placeLine>;

/** A log of these drafts behind a header. */
function log(...drafts: readonly Partial<Draft>[]): Placed[] {
  const placed = [placeLine(emptyTip("life"), { id: "h", type: "session", data: "{}" }, 0, 1, TIME)];
  for (const draft of drafts) {
    const { tip } = placed.at(-1) as Placed;
    placed.push(placeLine(tip, { id: `e${placed.length}`, type: "message", data: text(`${placed.length}`), ...draft }, 0, 1, TIME));
  }
  return placed;
}
const pageOf = (placed: readonly { readonly line: Buffer }[]): Buffer =>
  Buffer.concat(placed.flatMap(({ line }) => [line, Buffer.from("\n")]));
const restoreTo = ({ tip }: Placed): Partial<Draft> => ({
  type: "restore",
  data: "{}",
  side: { to: { headSeq: tip.headSeq, headId: tip.headId, headHash: tip.headHash, n: tip.n } },
});
const corrupt = (seq: number, message: RegExp): Error =>
  expect.objectContaining({
    code: "ENTRY_CORRUPT",
    message: expect.stringMatching(message),
    details: { session: "s", seq },
  }) as Error;
const verified = (placed: readonly Placed[], from = 0): ReturnType<Verifier["page"]> => {
  const before = placed[from - 1]?.tip.hash ?? "life";
  return new Verifier("s", from, before, false).page(pageOf(placed.slice(from)));
};
/** The part of a log from `low` on, as it is held after a read. */
function held(placed: readonly Placed[], low = 0): Tree {
  const tree = new Tree("s");
  tree.pushAll(verified(placed, low));
  return tree;
}
const seqs = (tree: Tree, from: number): [seen: number[], missing: number | undefined] => {
  const seen: number[] = [];
  const missing = tree.walk(from, ({ seq }) => void seen.push(seq));
  return [seen, missing];
};

describe("a verifier", () => {
  const placed = log({}, { data: text("zwölf") }, {});

  it.each([
    ["one page", [0, 4]],
    ["a page for each line", [0, 1, 2, 3, 4]],
  ])("yields each line of %s with the hash before it and its bytes, line end included", (_, cuts) => {
    const verifier = new Verifier("s", 0, "life", false);
    const found = cuts.slice(1).flatMap((end, index) => verifier.page(pageOf(placed.slice(cuts[index], end))));
    expect(found).toEqual(
      placed.map(({ line }, index) => ({
        entry: JSON.parse(line.toString()) as Entry,
        previous: placed[index - 1]?.tip.hash ?? "life",
        bytes: line.length + 1,
      })),
    );
    expect([verifier.nextSeq, verifier.anchor]).toEqual([4, undefined]);
  });

  it("takes the first line for an anchor where nothing is known of what lies before", () => {
    const verifier = new Verifier("s", 1, undefined, false);
    const found = verifier.page(pageOf(placed.slice(1)));
    expect(found.map(({ entry }) => entry.seq)).toEqual([2, 3]);
    expect(found[0]?.previous).toBe(placed[1]?.tip.hash);
    expect([verifier.anchor, verifier.nextSeq]).toEqual([placed[1]?.tip.hash, 4]);
    expect(() => new Verifier("s", 1, undefined, false).page(Buffer.from("no line of ours\n"))).toThrow(
      corrupt(1, /does not end with its hash/),
    );
  });

  it("reads long pages, and texts of many bytes a letter, as any other", () => {
    for (const value of ["x".repeat(70_000), "ü".repeat(70_000), "😀".repeat(10)]) {
      const long = log({ data: text(value) }, {});
      expect(verified(long).map(({ entry }) => entry.seq)).toEqual([0, 1, 2]);
      expect(verified(long)[1]?.bytes).toBe((long[1] as Placed).line.length + 1);
      expect(verified(long)[1]?.entry.data).toMatchObject({ parts: [{ type: "text", text: value }] });
    }
  });

  it.each<[string, RegExp, (line: string) => string]>([
    ["ends in its middle", /ends in the middle of a line/, (line) => line.slice(0, -30)],
    ["is no JSON", /is no JSON/, (line) => line.replace("{", "[")],
    ["is empty", /is no JSON/, () => "\n"],
    ["claims another place", /claims to be entry 7/, (line) => line.replace('"seq":1', '"seq":7')],
    ["ends without its hash", /does not end with its hash/, (line) => line.replace(/\}\n$/, " }\n")],
    ["was changed", /does not agree with its hash/, (line) => line.replace('"text":"1"', '"text":"2"')],
    ["was changed in its hash", /does not agree with its hash/, (line) => line.replace(/.{5}"\}\n$/, 'xxxxx"}\n')],
  ])("says which line %s", (_, message, change) => {
    for (const trusts of [false, true]) {
      const page = Buffer.concat([pageOf(placed.slice(0, 1)), Buffer.from(change(pageOf(placed.slice(1, 2)).toString()))]);
      const own = new Verifier("s", 1, placed[0]?.tip.hash, trusts);
      expect(() => own.page(page.subarray(pageOf(placed.slice(0, 1)).length))).toThrow(corrupt(1, message));
      if (!trusts) expect(() => new Verifier("s", 0, "life", false).page(page)).toThrow(corrupt(1, message));
    }
  });

  it("computes no hash twice where the store has checked them, behind the first line that joins", () => {
    const changed = Buffer.from(pageOf(placed).toString().replace('"text":"3"', '"text":"4"'));
    expect(new Verifier("s", 0, "life", true).page(changed)).toHaveLength(4);
    expect(() => new Verifier("s", 0, "life", false).page(changed)).toThrow(corrupt(3, /does not agree/));
    // Where the store's log is not the one that was known, its own checks say nothing.
    expect(() => new Verifier("s", 0, "another life", true).page(pageOf(placed))).toThrow(corrupt(0, /does not agree/));
    const trusting = new Verifier("s", 0, "life", true);
    trusting.page(pageOf(placed.slice(0, 3)));
    expect(trusting.page(changed.subarray(pageOf(placed.slice(0, 3)).length))).toHaveLength(1);
  });
});

describe("what is held of a log", () => {
  const placed = log({}, {}, {}, {});
  const sizes = placed.map(({ line }) => line.length + 1);
  const sum = (from: number, to: number): number => sizes.slice(from, to).reduce((all, each) => all + each, 0);
  const state = (tree: Tree): unknown => [tree.isEmpty, tree.low, tree.high, tree.topHash, tree.bytes];

  it("is nothing at first, and after it was cleared", () => {
    const tree = new Tree("s");
    expect(state(tree)).toEqual([true, 0, -1, "", 0]);
    const full = held(placed, 2);
    const before = full.message(full.entry(3));
    full.path(4);
    full.clear();
    expect(state(full)).toEqual([true, 0, -1, "", 0]);
    expect(full.hasPath(4)).toBe(false);
    full.pushAll(verified(placed));
    expect(state(full)).toEqual([false, 0, 4, placed[4]?.tip.hash, sum(0, 5)]);
    expect(full.message(full.entry(3))).toEqual(before);
    expect(full.message(full.entry(3))).not.toBe(before);
  });

  it("begins where the first read began, and grows on top by what is next there", () => {
    const tree = held(placed.slice(0, 4), 2);
    expect(state(tree)).toEqual([false, 2, 3, placed[3]?.tip.hash, sum(2, 4)]);
    tree.pushAll(verified(placed, 2));
    expect(state(tree)).toEqual([false, 2, 4, placed[4]?.tip.hash, sum(2, 5)]);
    const gap = held(placed.slice(0, 2));
    gap.pushAll(verified(placed, 3));
    expect(gap.high).toBe(1);
  });

  it("takes own lines on its top only, and parses them when they are asked for", () => {
    const own = (tree: Tree, seq: number): void => tree.pushOwn(seq, (placed[seq] as Placed).line, (placed[seq] as Placed).tip.hash);
    const empty = new Tree("s");
    own(empty, 0);
    expect(empty.isEmpty).toBe(true);
    const tree = held(placed.slice(0, 2), 1);
    own(tree, 3);
    own(tree, 1);
    expect(state(tree)).toEqual([false, 1, 1, placed[1]?.tip.hash, sum(1, 2)]);
    own(tree, 2);
    expect(state(tree)).toEqual([false, 1, 2, placed[2]?.tip.hash, sum(1, 3)]);
    expect(tree.entry(2)).toEqual(JSON.parse((placed[2] as Placed).line.toString()));
    expect(tree.entry(2)).toBe(tree.entry(2));
  });

  it("grows below by what ends right under it", () => {
    const tree = held(placed, 3);
    tree.unshiftAll([]);
    tree.unshiftAll(verified(placed.slice(0, 2)));
    tree.unshiftAll(verified(placed.slice(0, 4)));
    expect(state(tree)).toEqual([false, 3, 4, placed[4]?.tip.hash, sum(3, 5)]);
    tree.unshiftAll(verified(placed.slice(0, 3), 1));
    expect(state(tree)).toEqual([false, 1, 4, placed[4]?.tip.hash, sum(1, 5)]);
    expect([1, 2, 3, 4].map((seq) => tree.entry(seq).seq)).toEqual([1, 2, 3, 4]);
    tree.unshiftAll(verified(placed.slice(0, 1)));
    expect(state(tree)).toEqual([false, 0, 4, placed[4]?.tip.hash, sum(0, 5)]);
  });

  it("refuses what lies right below but does not lead to it", () => {
    const other = log({ data: text("other") }, {});
    const tree = held(placed, 3);
    expect(() => tree.unshiftAll(verified(other))).toThrow(corrupt(3, /^entry 3 of session s does not follow from the one before it$/));
    expect(state(tree)).toEqual([false, 3, 4, placed[4]?.tip.hash, sum(3, 5)]);
    // What was put below is what the next one below has to lead to.
    tree.unshiftAll(verified(placed.slice(0, 3), 2));
    expect(() => tree.unshiftAll(verified(other.slice(0, 2)))).toThrow(corrupt(2, /does not follow/));
  });

  it("says that it has no such entry above, and below what is held", () => {
    const tree = held(placed, 3);
    for (const seq of [2, 5]) expect(() => tree.entry(seq)).toThrow(expect.objectContaining({ code: "ENTRY_NOT_FOUND" }) as Error);
  });
});

describe("a walk towards the root", () => {
  // 0 header, 1, 2, 3 restore to 1, 4 beside 2.
  const two = log({}, {});
  const branched = [...two];
  const grow = (draft: Partial<Draft>): void => {
    const { tip } = branched.at(-1) as Placed;
    branched.push(placeLine(tip, { id: `e${branched.length}`, type: "message", data: text("b"), ...draft }, 0, 1, TIME));
  };
  grow(restoreTo(two[1] as Placed));
  grow({});

  it("follows parents, not lines, to the header", () => {
    expect(seqs(held(branched), 4)).toEqual([[4, 1, 0], undefined]);
    expect(seqs(held(branched), 2)).toEqual([[2, 1, 0], undefined]);
  });

  it("says what it needs next where less is held", () => {
    expect(seqs(held(branched, 2), 4)).toEqual([[4], 1]);
    expect(seqs(held(branched, 4), 4)).toEqual([[4], 1]);
    expect(seqs(held(branched, 3), 2)).toEqual([[], 2]);
    expect(seqs(new Tree("s"), 0)).toEqual([[], 0]);
    expect(seqs(new Tree("s"), -1)).toEqual([[], undefined]);
  });

  it("ends where its visitor wants", () => {
    const seen: number[] = [];
    expect(held(branched, 1).walk(4, ({ seq }) => seen.push(seq) < 2)).toBeUndefined();
    expect(seen).toEqual([4, 1]);
  });

  it("reads the messages of a path oldest first, and keeps what it has read while the path grows", () => {
    const tree = held(branched.slice(0, 3));
    const before = tree.path(2) as readonly { readonly entryId: string }[];
    expect(before.map(({ entryId }) => entryId)).toEqual(["e1", "e2"]);
    expect([tree.hasPath(2), tree.hasPath(1)]).toEqual([true, false]);
    expect(tree.path(2)).toBe(before);
    tree.pushAll(verified(branched, 3));
    const other = tree.path(4) as readonly { readonly entryId: string }[];
    expect(other.map(({ entryId }) => entryId)).toEqual(["e1", "e4"]);
    expect([tree.hasPath(4), tree.hasPath(2)]).toEqual([true, false]);
    const on = log({}, {}, { type: "state", data: "1" }, {}, {});
    const grown = held(on.slice(0, 3));
    const start = grown.path(2);
    grown.pushAll(verified(on, 3));
    const visited: number[] = [];
    const entry = grown.entry.bind(grown);
    grown.entry = (seq) => (visited.push(seq), entry(seq));
    expect((grown.path(5) as readonly { readonly seq: number }[]).map(({ seq }) => seq)).toEqual([1, 2, 4, 5]);
    expect(visited).toEqual([5, 4, 3, 2]);
    expect(start).toHaveLength(2);
    expect(grown.hasPath(5)).toBe(true);
  });

  it("says what must be loaded before a path is known, and keeps none until then", () => {
    const tree = held(branched, 2);
    expect(tree.path(4)).toBe(1);
    expect(tree.hasPath(4)).toBe(false);
    tree.unshiftAll(verified(branched.slice(0, 2)));
    expect(tree.path(4)).toHaveLength(2);
  });

  it("decodes a message once", () => {
    const tree = held(branched);
    const message = tree.message(tree.entry(1));
    expect(message).toMatchObject({ seq: 1, entryId: "e1", message: { id: "e1", role: "user" } });
    expect(tree.message(tree.entry(1))).toBe(message);
  });
});

describe("the parent of an entry", () => {
  it.each<[Pick<Entry, "seq" | "parentSeq">, number]>([
    [{ seq: 0 }, -1],
    [{ seq: 5 }, 4],
    [{ seq: 5, parentSeq: 3 }, 3],
    [{ seq: 5, parentSeq: 0 }, 0],
  ])("of %j is %i", (entry, parent) => {
    expect(parentOf(entry, "s")).toBe(parent);
  });

  it.each([5, 6, -1, 1.5, Number.NaN, "2" as unknown as number])("can not be %s, if it is entry 5", (parentSeq) => {
    expect(() => parentOf({ seq: 5, parentSeq }, "s")).toThrow(corrupt(5, /names a parent that is not before it/));
  });
});

describe("an entry of a type that is not known", () => {
  const of = (type: string, head?: number): boolean =>
    isPathEntry({ seq: 3, type, ...(head === undefined ? undefined : { head }) } as unknown as Entry);
  it("belongs to the path unless it keeps the head elsewhere", () => {
    expect([of("poem"), of("poem", 3), of("poem", 2)]).toEqual([true, true, false]);
    expect([of("message"), of("checkpoint", 2), of("metadata", 2), of("restore", 1)]).toEqual([true, false, false, false]);
  });
});
