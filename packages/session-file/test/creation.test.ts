import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionBackend } from "@aixgo/session/backend";
import { keyFileOf } from "../src/layout.ts";
import { decodeRecord, encodeRecord } from "../src/record.ts";
import { append, createWith, LineWriter, open, readAll, request, temporaryStore } from "./support/writer.ts";

let store: string;
let backend: SessionBackend;

beforeEach(() => {
  store = temporaryStore();
  backend = open(store, { durability: "disk" });
});
afterEach(async () => {
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

const own = (...parts: string[]): string => join(store, ".aixgo", ...parts);
const keyPath = (key: string): string => own("keys", keyFileOf(undefined, "writer", key));

describe("create", () => {
  it("with an id that exists is KEY_EXISTS and changes nothing, also under another agent", async () => {
    const writer = await createWith(backend, 2);
    await expect(backend.create(request(new LineWriter({ id: writer.ref.id })))).rejects.toMatchObject({ code: "KEY_EXISTS" });
    await expect(backend.create(request(new LineWriter({ id: writer.ref.id, agentName: "other" })))).rejects.toMatchObject({
      code: "KEY_EXISTS",
    });
    const fresh = open(store);
    await expect(fresh.create(request(new LineWriter({ id: writer.ref.id, agentName: "third" })))).rejects.toMatchObject({
      code: "KEY_EXISTS",
    });
    expect((await fresh.head(writer.ref.id)).incarnation).toBe(writer.ref.incarnation);
    await fresh.close();
  });

  it("of the same id at once makes one session", async () => {
    const other = open(store);
    const writers = Array.from({ length: 6 }, () => new LineWriter({ id: "the-one" }));
    const settled = await Promise.allSettled(writers.map((writer, i) => (i % 2 === 0 ? backend : other).create(request(writer))));
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await other.close();
  });

  it("whose lines fail leaves nothing, no draft and no key", async () => {
    const writer = new LineWriter();
    const failing = {
      ...request(writer, { info: { key: "k" } }),
      async *lines() {
        yield writer.header({ key: "k" });
        throw new RangeError("the source broke");
      },
    };
    await expect(backend.create(failing)).rejects.toThrow(RangeError);
    await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect(readdirSync(own("drafts"))).toEqual([]);
    expect(readdirSync(own("keys"))).toEqual([]);
  });

  it("with a header of another session or agent is refused", async () => {
    const writer = new LineWriter();
    const wrong = new LineWriter();
    await expect(
      backend.create({
        ...request(writer),
        lines: async function* () {
          yield wrong.header();
        },
      }),
    ).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(readdirSync(own("drafts"))).toEqual([]);
  });

  it("of a fork stores its lines whole, batches over several pages included", async () => {
    const writer = new LineWriter();
    const lines = [
      writer.header(),
      writer.message("one"),
      ...writer.batch(Array.from({ length: 500 }, (_, i) => `${i} ${"x".repeat(1000)}`)),
      writer.message("end"),
    ];
    const { head } = await backend.create({
      ...request(writer),
      lines: async function* () {
        yield* lines;
      },
    });
    expect(head).toMatchObject({ seq: 502, hash: writer.hash });
    expect(readFileSync(join(store, "writer", `${writer.ref.id}.jsonl`)).toString()).toBe(lines.map((line) => `${line}\n`).join(""));
    const cut = new LineWriter();
    const half = [cut.header(), ...cut.batch(["a", "b"]).slice(0, 1)];
    await expect(
      backend.create({
        ...request(cut),
        lines: async function* () {
          yield* half;
        },
      }),
    ).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
  });
});

describe("a key", () => {
  it("gives concurrent creators, of several backends, one session", async () => {
    const other = open(store);
    const created = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        (i % 2 === 0 ? backend : other).create(request(new LineWriter(), { info: { key: "user:ada" }, onKey: "get" })),
      ),
    );
    expect(created.filter((one) => one.created)).toHaveLength(1);
    expect(new Set(created.map((one) => `${one.head.id} ${one.head.incarnation}`)).size).toBe(1);
    await other.close();
  });

  it("that is taken is KEY_EXISTS without onKey", async () => {
    await backend.create(request(new LineWriter(), { info: { key: "k" } }));
    const second = new LineWriter();
    await expect(backend.create(request(second, { info: { key: "k" } }))).rejects.toMatchObject({ code: "KEY_EXISTS" });
    await expect(backend.head(second.ref.id)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  });

  it("moves with take, and deleting the former holder leaves it where it is", async () => {
    const first = new LineWriter();
    await backend.create(request(first, { info: { key: "k" } }));
    const second = new LineWriter();
    expect(await backend.create(request(second, { info: { key: "k" }, onKey: "take" }))).toMatchObject({
      created: true,
      head: { id: second.ref.id },
    });
    await backend.delete(first.ref);
    const got = await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }));
    expect(got).toMatchObject({ created: false, head: { id: second.ref.id } });
  });

  it("goes back to its holder when a take fails", async () => {
    const first = new LineWriter();
    await backend.create(request(first, { info: { key: "k" } }));
    const taker = new LineWriter();
    await backend.create(request(taker));
    await backend.delete(taker.ref);
    await expect(
      backend.create(request(new LineWriter({ id: taker.ref.id }), { info: { key: "k" }, onKey: "take" })),
    ).rejects.toMatchObject({ code: "SESSION_DELETED" });
    expect((await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }))).head.id).toBe(first.ref.id);
  });

  it("of a create that was cut short is completed under the id it had chosen", async () => {
    await backend.head("nobody").catch(() => undefined);
    writeFileSync(keyPath("k"), encodeRecord({ id: "chosen-before" }), { mode: 0o600 });
    const { head, created } = await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }));
    expect({ id: head.id, created }).toEqual({ id: "chosen-before", created: true });
    expect((await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }))).created).toBe(false);
  });

  it("whose record is torn is free", async () => {
    await backend.head("nobody").catch(() => undefined);
    writeFileSync(keyPath("k"), "half a rec", { mode: 0o600 });
    expect((await backend.create(request(new LineWriter(), { info: { key: "k" } }))).created).toBe(true);
  });

  it("belongs to its tenant and agent", async () => {
    const one = await backend.create(request(new LineWriter(), { info: { key: "k", tenantId: "a" }, onKey: "get" }));
    const two = await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }));
    const three = await backend.create(request(new LineWriter({ agentName: "other" }), { info: { key: "k" }, onKey: "get" }));
    expect(new Set([one, two, three].map(({ head }) => head.id)).size).toBe(3);
  });
});

describe("delete", () => {
  it("leaves a tombstone that every late call meets, in every process", async () => {
    const other = open(store);
    const writer = new LineWriter();
    await backend.create(request(writer, { info: { key: "k" } }));
    await other.head(writer.ref.id);
    await backend.delete(writer.ref);
    for (const at of [backend, other]) {
      await expect(at.head(writer.ref.id)).rejects.toMatchObject({ code: "SESSION_DELETED" });
      await expect(
        at.append(writer.ref, { expect: writer.position, lines: [LineWriter.after(writer.ref, writer.position).message("late")] }),
      ).rejects.toMatchObject({ code: "SESSION_DELETED" });
      await expect(readAll(at, writer.ref)).rejects.toMatchObject({ code: "SESSION_DELETED" });
      await at.delete(writer.ref);
      expect((await at.list({})).items).toEqual([]);
    }
    await expect(backend.create(request(new LineWriter({ id: writer.ref.id })))).rejects.toMatchObject({ code: "SESSION_DELETED" });
    expect((await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }))).created).toBe(true);
    expect(readdirSync(join(store, "writer"))).toHaveLength(1);
    await other.close();
  });

  it("of another incarnation, or of nothing, is refused", async () => {
    const writer = await createWith(backend, 1);
    await expect(backend.delete({ id: writer.ref.id, incarnation: "other" })).rejects.toMatchObject({ code: "INCARNATION_CHANGED" });
    await expect(backend.delete(new LineWriter().ref)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect((await backend.head(writer.ref.id)).seq).toBe(1);
  });

  it("takes the record of its key with it, unless another session has the key by now; its tombstone knows which to take", async () => {
    const [first, second] = [new LineWriter(), new LineWriter()];
    const tombstoneOf = ({ ref }: LineWriter): unknown => decodeRecord(readFileSync(own("tombstones", ref.id)));
    await backend.create(request(first, { info: { key: "k" } }));
    await backend.create(request(second, { info: { key: "k" }, onKey: "take" }));
    await backend.delete(first.ref);
    expect([existsSync(keyPath("k")), tombstoneOf(first)]).toEqual([
      true,
      expect.not.objectContaining({ keyFile: expect.anything() as string }),
    ]);
    await backend.delete(second.ref);
    expect([existsSync(keyPath("k")), tombstoneOf(second)]).toEqual([
      false,
      expect.objectContaining({ keyFile: keyFileOf(undefined, "writer", "k") }),
    ]);
  });

  it("that was cut short after its tombstone is finished by the next one", async () => {
    const writer = new LineWriter();
    await backend.create(request(writer, { info: { key: "k" } }));
    const tombstone = {
      id: writer.ref.id,
      incarnation: writer.ref.incarnation,
      deletedAt: new Date().toISOString(),
      keyFile: keyFileOf(undefined, "writer", "k"),
    };
    writeFileSync(own("tombstones", writer.ref.id), encodeRecord(tombstone), { mode: 0o600 });
    const fresh = open(store);
    await expect(fresh.head(writer.ref.id)).rejects.toMatchObject({ code: "SESSION_DELETED" });
    await fresh.delete(writer.ref);
    expect(existsSync(join(store, "writer", `${writer.ref.id}.jsonl`))).toBe(false);
    expect(existsSync(keyPath("k"))).toBe(false);
    await fresh.close();
  });

  it("is forgotten after thirty days", async () => {
    const writer = await createWith(backend, 1);
    await backend.delete(writer.ref);
    const deletedAt = new Date(Date.now() - 31 * 86_400_000).toISOString();
    writeFileSync(own("tombstones", writer.ref.id), encodeRecord({ id: writer.ref.id, incarnation: writer.ref.incarnation, deletedAt }), {
      mode: 0o600,
    });
    await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect((await backend.create(request(new LineWriter({ id: writer.ref.id })))).created).toBe(true);
  });

  it("with erase removes keys and damaged remains, too", async () => {
    const writer = await createWith(backend, 1);
    await backend.append(writer.ref, { expect: writer.position, lines: [writer.message("with keys")], keys: Uint8Array.of(1) });
    writeFileSync(join(store, "writer", `${writer.ref.id}.damaged`), "remains", { mode: 0o600 });
    await backend.delete(writer.ref, { erase: true });
    expect(readdirSync(join(store, "writer"))).toEqual([]);
    for (const part of ["wrapped", "leases", "heads", "drafts"]) expect(readdirSync(own(part)), part).toEqual([]);
  });

  it("of a damaged log is possible", async () => {
    const writer = await createWith(backend, 4);
    const path = join(store, "writer", `${writer.ref.id}.jsonl`);
    const bytes = readFileSync(path);
    bytes[500] = (bytes[500] as number) ^ 1;
    writeFileSync(path, bytes);
    const fresh = open(store);
    await expect(fresh.head(writer.ref.id)).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    await fresh.delete(writer.ref);
    for (const at of [fresh, backend]) await expect(at.head(writer.ref.id)).rejects.toMatchObject({ code: "SESSION_DELETED" });
    await fresh.close();
  });
});

describe("what has no name yet", () => {
  it("goes at the next start when it is an hour old by the clock of the files, whatever the process's own says", async () => {
    await backend.list({});
    writeFileSync(own("drafts", "of-somebody-at-work"), "x", { mode: 0o600 });
    writeFileSync(own("drafts", "left-behind"), "x", { mode: 0o600 });
    const old = new Date(Date.now() - 2 * 3_600_000);
    utimesSync(own("drafts", "left-behind"), old, old);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 12 * 3_600_000 });
    try {
      const ahead = open(store);
      await ahead.list({});
      await ahead.close();
    } finally {
      vi.useRealTimers();
    }
    expect(readdirSync(own("drafts"))).toEqual(["of-somebody-at-work"]);
  });
});

describe("rewrite", () => {
  it("replaces the log by a new incarnation for every process", async () => {
    const other = open(store);
    const writer = await createWith(backend, 5);
    await other.head(writer.ref.id);
    const next = new LineWriter({ id: writer.ref.id });
    const lines = [next.header(), next.message("only this")];
    const answer = await backend.rewrite(writer.ref, {
      expect: writer.position,
      next: next.ref,
      lines: (async function* () {
        yield* lines;
      })(),
    });
    expect(answer).toMatchObject({ head: { seq: 1, incarnation: next.ref.incarnation } });
    for (const at of [backend, other]) {
      await expect(
        at.append(writer.ref, { expect: writer.position, lines: [LineWriter.after(writer.ref, writer.position).message("late")] }),
      ).rejects.toMatchObject({ code: "INCARNATION_CHANGED" });
      await expect(readAll(at, writer.ref)).rejects.toMatchObject({ code: "INCARNATION_CHANGED" });
      expect(await readAll(at, next.ref)).toHaveLength(2);
      expect((await at.list({})).items).toMatchObject([{ id: writer.ref.id, version: 1 }]);
    }
    await append(other, next, "goes on");
    await other.close();
  });

  it("on a stale position changes nothing", async () => {
    const writer = await createWith(backend, 2);
    const stale = writer.position;
    await append(backend, writer, "newer");
    const next = new LineWriter({ id: writer.ref.id });
    const answer = await backend.rewrite(writer.ref, {
      expect: stale,
      next: next.ref,
      lines: (async function* () {
        yield next.header();
      })(),
    });
    expect(answer).toMatchObject({ conflict: { seq: 3 } });
    expect((await backend.head(writer.ref.id)).incarnation).toBe(writer.ref.incarnation);
    expect(readdirSync(own("drafts"))).toEqual([]);
  });
});

describe("the index", () => {
  it("can be lost, torn or wrong: sessions are found by probing", async () => {
    const writers: LineWriter[] = [];
    for (let i = 0; i < 5; i++) writers.push(await createWith(backend, 1, { agentName: `agent-${i}` }));
    for (const spoil of [
      (path: string) => rmSync(path),
      (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 10)),
      (path: string) => writeFileSync(path, `${writers[0]?.ref.id} ../../etc\n${"\0".repeat(50)}`),
    ]) {
      for (const file of readdirSync(own("index"))) if (file !== "boot") spoil(own("index", file));
      const fresh = open(store);
      for (const { ref } of writers) expect((await fresh.head(ref.id)).seq).toBe(1);
      const late = await createWith(fresh, 0);
      expect((await fresh.head(late.ref.id)).seq).toBe(0);
      await fresh.close();
    }
  });

  it("is completed from the folders after a boot", async () => {
    const writer = await createWith(backend, 1);
    await backend.close();
    for (const file of readdirSync(own("index"))) rmSync(own("index", file));
    const fresh = open(store);
    await fresh.list({});
    expect(
      readdirSync(own("index"))
        .map((file) => readFileSync(own("index", file), "utf8"))
        .join(),
    ).toContain(writer.ref.id);
    await fresh.close();
  });
});
