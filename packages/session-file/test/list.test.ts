import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SessionBackend, SessionInfo, SessionQuery } from "@aixgo/session/backend";
import { createLayout } from "../src/layout.ts";
import { createStripes } from "../src/stripes.ts";
import { TouchJournal } from "../src/touch-journal.ts";
import { append, createWith, LineWriter, open, request, temporaryStore } from "./support/writer.ts";

let store: string;
let backend: SessionBackend;

beforeEach(() => {
  store = temporaryStore();
  backend = open(store, { indexedMetadata: ["topic"] });
});
afterEach(async () => {
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

async function pages(at: SessionBackend, query: SessionQuery): Promise<SessionInfo[]> {
  const items: SessionInfo[] = [];
  let cursor: string | undefined;
  do {
    const page = await at.list({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return items;
}

const ids = (items: readonly SessionInfo[]): string[] => items.map(({ id }) => id);
const catalog = (): string => join(store, ".aixgo", "catalog");

async function touch(at: SessionBackend, writer: LineWriter, timestamp: string): Promise<void> {
  await append(at, writer, "touched", { timestamp });
}

function minute(n: number): string {
  return new Date(Date.UTC(2030, 0, 1, 0, n)).toISOString();
}

describe("list", () => {
  it("is newest first or by id, in pages of any size, and across backends at once", async () => {
    const other = open(store);
    await other.list({});
    const writers: LineWriter[] = [];
    for (let i = 0; i < 25; i++) {
      const writer = await createWith(i % 2 === 0 ? backend : other, 0);
      await touch(i % 3 === 0 ? backend : other, writer, minute(i));
      writers.push(writer);
    }
    for (const at of [backend, other]) {
      for (const limit of [1, 7, 25, 1000]) {
        expect(ids(await pages(at, { limit }))).toEqual(writers.map(({ ref }) => ref.id).toReversed());
        expect(ids(await pages(at, { limit, order: "id" }))).toEqual(writers.map(({ ref }) => ref.id).toSorted());
      }
    }
    await touch(other, writers[3] as LineWriter, minute(100));
    expect((await backend.list({ limit: 1 })).items[0]).toMatchObject({
      id: writers[3]?.ref.id,
      version: 2,
      messageCount: 2,
      updatedAt: minute(100),
    });
    await other.close();
  });

  it("shows a session that is not touched exactly once while others are", async () => {
    const writers: LineWriter[] = [];
    for (let i = 0; i < 30; i++) {
      const writer = await createWith(backend, 0);
      await touch(backend, writer, minute(i));
      writers.push(writer);
    }
    const quiet = new Set(writers.filter((_, i) => i % 3 === 0).map(({ ref }) => ref.id));
    const seen: string[] = [];
    let cursor: string | undefined;
    for (let step = 0; ; step++) {
      const page = await backend.list({ limit: 4, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...ids(page.items));
      cursor = page.nextCursor;
      if (cursor === undefined) break;
      for (const i of [step * 2, 28 - step]) if (i % 3 !== 0) await touch(backend, writers[i % 30] as LineWriter, minute(1000 + step));
    }
    expect(seen.filter((id) => quiet.has(id)).toSorted()).toEqual([...quiet].toSorted());
  });

  it("filters before it pages", async () => {
    for (let i = 0; i < 12; i++) {
      await backend.create(
        request(new LineWriter({ agentName: i % 2 === 0 ? "even" : "odd" }), {
          info: {
            userId: `user-${i % 3}`,
            ...(i % 4 === 0 ? { tenantId: "acme" } : {}),
            metadata: { topic: i % 6, nested: { b: 1, a: [i % 2] } },
          },
        }),
      );
    }
    expect(await pages(backend, { agentName: "even", limit: 2 })).toHaveLength(6);
    expect(await pages(backend, { userId: "user-1", limit: 2 })).toHaveLength(4);
    expect(await pages(backend, { tenantId: "acme", limit: 1 })).toHaveLength(3);
    expect(await pages(backend, { metadata: { topic: 5 }, limit: 1 })).toHaveLength(2);
    expect(await pages(backend, { metadata: { nested: { a: [1], b: 1 } }, scan: true })).toHaveLength(6);
    expect(await pages(backend, { updatedAfter: new Date(Date.now() + 60_000).toISOString() })).toEqual([]);
    expect(await pages(backend, { updatedBefore: new Date(Date.now() + 60_000).toISOString() })).toHaveLength(12);
    expect((await backend.list({ agentName: "even", limit: 6 })).nextCursor).toBeUndefined();
  });

  it("follows metadata that an append changed", async () => {
    const writer = await createWith(backend, 1);
    const expectAt = writer.position;
    await backend.append(writer.ref, { expect: expectAt, lines: [writer.line("metadata", { topic: "new" }, { head: 1 })] });
    expect(await pages(backend, { metadata: { topic: "new" } })).toHaveLength(1);
    await backend.close();
    rmSync(catalog(), { recursive: true });
    const rebuilt = open(store, { indexedMetadata: ["topic"] });
    expect(await pages(rebuilt, { metadata: { topic: "new" } })).toMatchObject([{ version: 2, messageCount: 1 }]);
    await rebuilt.close();
  });

  it.each([
    [{ limit: 0 }, "limit"],
    [{ limit: 1001 }, "limit"],
    [{ limit: 1.5 }, "limit"],
    [{ order: "size" }, "order"],
    [{ cursor: "nonsense" }, "cursor"],
    [{ metadata: { colour: "red" } }, '"colour"'],
    [{ updatedAfter: "yesterday" }, "updatedAfter"],
    [{ flavour: 1 }, "flavour"],
  ])("refuses %j and names what is wrong", async (query, name) => {
    await expect(backend.list(query as SessionQuery)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining(name),
    });
  });

  it("refuses a cursor of another query", async () => {
    await createWith(backend, 0);
    await createWith(backend, 0);
    const { nextCursor } = await backend.list({ limit: 1 });
    await expect(backend.list({ limit: 1, cursor: nextCursor as string, order: "id" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(backend.list({ limit: 1, cursor: nextCursor as string, agentName: "writer" })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
    expect((await backend.list({ limit: 2, cursor: nextCursor as string })).items).toHaveLength(1);
  });
});

describe("the catalog", () => {
  async function fill(count: number): Promise<string[]> {
    const writers: LineWriter[] = [];
    for (let i = 0; i < count; i++) {
      const writer = await createWith(backend, i % 3);
      await touch(backend, writer, minute(i));
      writers.push(writer);
    }
    return writers.map(({ ref }) => ref.id).toReversed();
  }

  it.each([
    ["removed", () => rmSync(catalog(), { recursive: true })],
    ["torn", () => truncateSync(join(catalog(), "journal"), statSync(join(catalog(), "journal")).size >> 1)],
    ["garbage", () => writeFileSync(join(catalog(), "journal"), "garbage")],
    ["empty", () => writeFileSync(join(catalog(), "journal"), "")],
    [
      "of another boot",
      () =>
        writeFileSync(join(catalog(), "journal"), readFileSync(join(catalog(), "journal"), "utf8").replace(/"boot":"[^"]*"/, '"boot":"x"')),
    ],
  ])("that is %s is rebuilt from the logs, or what is left of it followed by the logs", async (name, spoil) => {
    const want = await fill(20);
    await backend.close();
    spoil();
    const fresh = open(store);
    const found = ids(await pages(fresh, {}));
    // A journal that a hand cut in the same boot cannot be told from one that ends there; a crash cannot cut it.
    if (name === "torn") expect(want).toEqual(expect.arrayContaining(found));
    else expect(found).toEqual(want);
    const later = await createWith(fresh, 1);
    expect(ids(await pages(fresh, {}))).toContain(later.ref.id);
    await fresh.close();
    const again = open(store);
    expect(ids(await pages(again, {}))).toEqual(ids(await pages(again, {})));
    expect(ids(await pages(again, {}))).toContain(later.ref.id);
    await again.close();
  });

  it("begins a new journal while another process writes: nothing is lost", async () => {
    const other = open(store);
    await other.list({});
    const want = await fill(10);
    // Makes the first list of a fresh process compact: the snapshot is missing.
    writeFileSync(
      join(catalog(), "journal"),
      readFileSync(join(catalog(), "journal"), "utf8").replace('"base":"empty"', '"base":"unknown"'),
    );
    const compacting = open(store);
    const late: LineWriter[] = [];
    const write = async (): Promise<void> => {
      for (let i = 0; i < 40; i++) late.push(await createWith(i % 2 === 0 ? other : backend, 1));
    };
    await Promise.all([write(), compacting.list({})]);
    expect(readdirSync(catalog()).filter((name) => name.startsWith("snapshot-"))).toHaveLength(1);
    for (const at of [backend, other, compacting, open(store)]) {
      expect(new Set(ids(await pages(at, {})))).toEqual(new Set([...want, ...late.map(({ ref }) => ref.id)]));
      if (at !== backend) await at.close();
    }
  });

  describe("whose writer was killed before it could tell what it had done", () => {
    /** What the last call wrote to the journal behind its first line is taken back. */
    async function untold(doing: () => Promise<unknown>): Promise<void> {
      const journal = join(catalog(), "journal");
      const before = readFileSync(journal, "utf8").length;
      await doing();
      const said = readFileSync(journal, "utf8").slice(before).split("\n");
      expect(said).toHaveLength(3);
      truncateSync(journal, before + (said[0] as string).length + 1);
      await backend.close();
      backend = open(store);
    }

    it("names a session that was made, and what was appended to it since", async () => {
      const other = open(store);
      await other.list({});
      const made = new LineWriter();
      await untold(() => backend.create(request(made)));
      expect(ids(await pages(other, {}))).toEqual([made.ref.id]);
      await append(backend, made, "on");
      for (const at of [other, backend]) expect(await pages(at, {})).toMatchObject([{ id: made.ref.id, version: 1, messageCount: 1 }]);
      await other.close();
    });

    it("leaves a session out that was deleted, also after the delete is made again", async () => {
      const [first, second] = await fill(2);
      const { incarnation } = await backend.head(first as string);
      await untold(() => backend.delete({ id: first as string, incarnation }));
      expect(ids(await pages(backend, {}))).toEqual([second]);
      await backend.delete({ id: first as string, incarnation });
      expect(ids(await pages(backend, {}))).toEqual([second]);
    });

    it("shows a rewritten session's new life", async () => {
      const writer = await createWith(backend, 3);
      const next = new LineWriter({ id: writer.ref.id });
      await untold(() =>
        backend.rewrite(writer.ref, {
          expect: writer.position,
          next: next.ref,
          lines: (async function* () {
            yield next.header();
          })(),
        }),
      );
      expect(await pages(backend, {})).toMatchObject([{ id: writer.ref.id, version: 0 }]);
      await append(backend, next, "on");
      expect(await pages(backend, {})).toMatchObject([{ id: writer.ref.id, version: 1, messageCount: 1 }]);
    });
  });

  it("takes what is told late of a life that has ended for nothing of the next one", async () => {
    const writer = await createWith(backend, 3);
    const next = new LineWriter({ id: writer.ref.id });
    await backend.list({});
    await backend.rewrite(writer.ref, {
      expect: writer.position,
      next: next.ref,
      lines: (async function* () {
        yield next.header();
      })(),
    });
    const layout = createLayout(store, store);
    const stripes = createStripes(layout.part("locks"), { lockTimeoutMs: 5_000, singleProcess: true, maxOpen: 8 });
    const late = new TouchJournal(layout, stripes);
    late.restart();
    late.append(`${JSON.stringify(["t", writer.ref.incarnation, writer.ref.id, 4, 4, minute(1)])}\n`);
    const other = open(store);
    for (const at of [other, backend]) expect(await pages(at, {})).toMatchObject([{ id: writer.ref.id, version: 0, messageCount: 0 }]);
    await other.close();
    late.close();
    stripes.close();
  });

  it("keeps no more than so many lines for a reader that does not come", async () => {
    await backend.list({});
    const layout = createLayout(store, store);
    const stripes = createStripes(layout.part("locks"), { lockTimeoutMs: 5_000, singleProcess: true, maxOpen: 8 });
    const [follower, writer] = [new TouchJournal(layout, stripes), new TouchJournal(layout, stripes)];
    const fill = async (lines: number): Promise<void> => {
      follower.restart();
      follower.skipToEnd();
      writer.restart();
      for (let i = 0; i < lines; i++) writer.append(`["t","x","y",${i},0,""]\n`);
      await writer.rotate(() => undefined);
      writer.append('["t","x","y",0,0,""]\n');
    };
    await fill(1_000);
    expect(follower.read()).toHaveLength(1_001);
    await fill(60_000);
    expect(follower.read(), "it begins anew").toBe("lost");
    follower.restart();
    expect(follower.read()).toHaveLength(1);
    follower.leave();
    expect(follower.read(), "nothing was kept").toBe("lost");
    follower.close();
    writer.close();
    stripes.close();
  });

  it("leaves deleted sessions out, also when rebuilt", async () => {
    const want = await fill(4);
    const gone = want[1] as string;
    await backend.delete({ id: gone, incarnation: (await backend.head(gone)).incarnation });
    expect(ids(await pages(backend, {}))).not.toContain(gone);
    await backend.close();
    rmSync(catalog(), { recursive: true });
    const fresh = open(store);
    expect(ids(await pages(fresh, {}))).toEqual(want.filter((id) => id !== gone));
    await fresh.close();
  });

  it("summarizes long logs as their heads do", async () => {
    const writer = await createWith(backend, 1);
    const expectAt = writer.position;
    const lines: Buffer[] = [];
    for (let i = 0; i < 500; i++) {
      lines.push(writer.message(`${i} ${"x".repeat(300)}`));
      if (i === 20) lines.push(writer.line("metadata", { topic: "early" }, { head: writer.seq }));
    }
    lines.push(...writer.batch(["a", "b"]));
    await backend.append(writer.ref, { expect: expectAt, lines });
    const { info } = await backend.head(writer.ref.id);
    for (const keepSidecar of [true, false]) {
      await backend.close();
      rmSync(catalog(), { recursive: true });
      if (!keepSidecar) rmSync(join(store, ".aixgo", "heads"), { recursive: true });
      backend = open(store, { indexedMetadata: ["topic"] });
      expect(await pages(backend, {})).toEqual([info]);
    }
  });
});
