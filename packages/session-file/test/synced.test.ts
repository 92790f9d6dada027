import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BlobStore, CreateRequest, SessionBackend } from "@aixgo/session/backend";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type SyncLedger, watchSyncs } from "./support/sync-ledger.ts";
import { append, createWith, LineWriter, open, request, temporaryStore } from "./support/writer.ts";

/** What cannot be made anew, or comes back though it was removed: all but caches, locks, drafts, and leases, which a boot voids. */
const matters = (path: string): boolean => !/^\.aixgo\/(?:index|heads|catalog|drafts|locks|leases)(?:\/|$)/.test(path);

let base: string;
let store: string;
let ledger: SyncLedger;
let backend: SessionBackend;
beforeEach(() => {
  base = temporaryStore();
  store = join(base, "store");
  ledger = watchSyncs(base);
  backend = open(store, { durability: "disk" });
});
afterEach(async () => {
  ledger.end();
  await backend.close();
  rmSync(base, { recursive: true, force: true });
});

const isKept = (path: string): boolean => matters(path.replace(/^store\//, ""));
const expectSynced = (): void => expect(ledger.unsynced(isKept)).toEqual([]);
/** What was not synced when the last file of such a name came or went; taken note of from now on. */
function watching(): (ending: RegExp) => readonly string[] | undefined {
  const moments = ledger.moments(isKept);
  return (ending) => moments.findLast(({ at }) => ending.test(at))?.unsynced;
}
const blobs = (): BlobStore => backend.blobs as BlobStore;
async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
const lines = async function* (writer: LineWriter, messages: number): AsyncGenerator<Uint8Array> {
  yield writer.header();
  for (let i = 0; i < messages; i += 1) yield writer.message(`message ${i} ${"x".repeat(500)}`);
};

const isLinux = process.platform === "linux";

describe.skipIf(!isLinux)(
  isLinux
    ? "on durability disk, a power cut takes nothing back of"
    : "on durability disk (skipped: which file a descriptor means is read from /proc, which Linux has)",
  () => {
    it("the ledger's own: what nobody synced is named", async () => {
      await backend.close();
      backend = open(store, { durability: "os" });
      const writer = await createWith(backend, 1);
      const log = `store/writer/${writer.ref.id}.jsonl`;
      expect(ledger.unsynced((path) => path.startsWith("store/writer"))).toEqual([`bytes ${log}`, "name store/writer", `name ${log}`]);
    });

    it("a session that was created, the first of an agent or not, long or short, with a key or without", async () => {
      for (const agentName of ["first", "first", "second"]) {
        await backend.create(request(new LineWriter({ agentName })));
        expectSynced();
      }
      for (const onKey of [undefined, "get", "take", "take"] as const) {
        const key = onKey === undefined ? { info: { key: "k" } } : { info: { key: "k" }, onKey };
        await backend.create(request(new LineWriter(), key));
        expectSynced();
      }
    });

    it("a history that a session begins with, which is on the disk before it gets its name", async () => {
      const at = watching();
      const long = new LineWriter();
      await backend.create({ ...request(long), lines: () => lines(long, 20) });
      expect(at(/\.jsonl$/)).toContain(`name store/writer/${long.ref.id}.jsonl`);
      expect(at(/\.jsonl$/)?.filter((each) => each.startsWith("bytes"))).toEqual([]);
      expectSynced();
    });

    it("a key that moves: the record that takes another's place is never an empty one", async () => {
      await backend.create(request(new LineWriter(), { info: { key: "k" } }));
      const at = watching();
      await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "take" }));
      expect(at(/\/keys\//)?.filter((each) => each.startsWith("bytes"))).toEqual([]);
      expectSynced();
    });

    it("a session whose creator could not know that it is there, and which the next caller finds", async () => {
      await createWith(backend, 0);
      const writer = new LineWriter();
      ledger.failFolders(true);
      await expect(backend.create(request(writer))).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
      ledger.failFolders(false);
      expect(ledger.unsynced(isKept)).toContain(`name store/writer/${writer.ref.id}.jsonl`);
      const other = open(store, { durability: "disk" });
      expect((await other.head(writer.ref.id)).seq).toBe(0);
      expect(ledger.unsynced(isKept)).not.toContain(`name store/writer/${writer.ref.id}.jsonl`);
      await other.close();
    });

    it("a session with the id of one that was forgotten: the keys of that one do not come back", async () => {
      await createWith(backend, 0);
      const writer = new LineWriter();
      const left = join(store, ".aixgo", "wrapped", writer.ref.id);
      writeFileSync(left, "old", { mode: 0o600 });
      await backend.create(request(writer));
      expect(existsSync(left)).toBe(false);
      expectSynced();
    });

    it("a session with a key whose creator was killed, and which the next caller completes", async () => {
      const first = open(store, { durability: "disk" });
      await first.create(request(new LineWriter()));
      const drawn = request(new LineWriter(), { info: { key: "k" }, onKey: "get" });
      // The record is there, and not yet durable; the log is not there.
      ledger.failFolders(true);
      await expect(first.create(drawn)).rejects.toThrow();
      await first.close();
      ledger.failFolders(false);
      await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }));
      expectSynced();
    });

    it("appends, leases taken and given up, wrapped keys, and ops that are found", async () => {
      const writer = await createWith(backend, 0);
      for (let i = 0; i < 3; i += 1) {
        await append(backend, writer, `${i}`, { op: `op ${i}` });
        expectSynced();
      }
      const { position: at } = writer;
      const lease = { fence: 1, token: "t" };
      await backend.append(writer.ref, {
        expect: at,
        lines: [writer.message("taken", { fence: 1 })],
        acquire: { ...lease, holder: "h", ttlMs: 60_000 },
        keys: Buffer.from("wrapped"),
      });
      expectSynced();
      await backend.append(writer.ref, {
        expect: { ...writer.position },
        lines: [writer.message("end", { fence: 1 })],
        lease,
        release: true,
      });
      expectSynced();
    });

    it("wrapped keys, before the lines that need them", async () => {
      const writer = await createWith(backend, 0);
      const at = watching();
      for (const key of [1, 2]) {
        const expected = writer.position;
        await backend.append(writer.ref, { expect: expected, lines: [writer.message("sealed")], keys: Uint8Array.of(key) });
        expect(at(/\/wrapped\//)).toEqual([`name store/.aixgo/wrapped/${writer.ref.id}`]);
        expectSynced();
      }
    });

    it("attachments, and those that a fork takes over", async () => {
      const writer = await createWith(backend, 0);
      const digest = await blobs().put(writer.ref, undefined, bytesOf("picture"));
      expectSynced();
      await blobs().touch(writer.ref, digest);
      const fork = new LineWriter();
      const draw: CreateRequest = { ...request(fork), blobs: () => ({ from: writer.ref, digests: new Set([digest]) }) };
      await backend.create(draw);
      expectSynced();
    });

    it("an append to a session whose creator was killed before its name was durable", async () => {
      await createWith(backend, 0);
      const writer = new LineWriter();
      ledger.failFolders(true);
      await expect(backend.create(request(writer))).rejects.toThrow();
      writer.seq = 0;
      ledger.failFolders(false);
      const other = open(store, { durability: "disk" });
      await append(other, writer, "acknowledged");
      expectSynced();
      await other.close();
    });

    it("a rewrite to a lone header", async () => {
      const writer = await createWith(backend, 2);
      const next = new LineWriter({ id: writer.ref.id });
      await backend.rewrite(writer.ref, { expect: writer.position, next: next.ref, lines: lines(next, 0) });
      expectSynced();
    });

    it("a rewrite, and attachments that go with it", async () => {
      const writer = await createWith(backend, 2);
      await blobs().put(writer.ref, undefined, bytesOf("secret"));
      const next = new LineWriter({ id: writer.ref.id });
      const at = watching();
      await backend.rewrite(writer.ref, {
        expect: writer.position,
        next: next.ref,
        lines: lines(next, 1),
        blobs: () => new Set(),
      });
      // Whole before it takes the place of the old one.
      expect(at(/\.jsonl$/)).toEqual([`name store/writer/${writer.ref.id}.jsonl`]);
      expectSynced();
    });

    it("an append to a log that somebody rewrote who was killed before its name was durable", async () => {
      const writer = await createWith(backend, 1);
      const other = open(store, { durability: "disk" });
      await other.head(writer.ref.id);
      const next = new LineWriter({ id: writer.ref.id });
      ledger.failFolders(true);
      await expect(backend.rewrite(writer.ref, { expect: writer.position, next: next.ref, lines: lines(next, 1) })).rejects.toThrow();
      ledger.failFolders(false);
      for (const node of [other, backend]) {
        await append(node, next, "acknowledged");
        expectSynced();
      }
      await other.close();
    });

    it.each([false, true])("a delete, of a session with key, wrapped keys and attachments; erased: %s", async (erase) => {
      const writer = new LineWriter();
      await backend.create(request(writer, { info: { key: "k" } }));
      const { position: at } = writer;
      await backend.append(writer.ref, { expect: at, lines: [writer.message("one")], keys: Buffer.from("wrapped") });
      await blobs().put(writer.ref, undefined, bytesOf("picture"));
      const log = watching();
      await backend.delete(writer.ref, { erase });
      // The tombstone before the log goes.
      expect(log(/\.jsonl$/)).toEqual([]);
      expectSynced();
    });

    it("an erasure of what was deleted before: neither wrapped keys nor what was cut off come back", async () => {
      const writer = await createWith(backend, 0);
      const { position: at } = writer;
      await backend.append(writer.ref, { expect: at, lines: [writer.message("sealed")], keys: Buffer.from("wrapped") });
      const kept = [join(store, "writer", `${writer.ref.id}.damaged`), join(store, ".aixgo", "wrapped", writer.ref.id)];
      writeFileSync(kept[0] as string, "secret", { mode: 0o600 });
      await backend.delete(writer.ref);
      await backend.delete(writer.ref, { erase: true });
      expect(kept.map((path) => existsSync(path))).toEqual([false, false]);
      expectSynced();
    });

    it("a delete that somebody began who was killed before it was durable, and that another ends", async () => {
      const writer = await createWith(backend, 1);
      ledger.failFolders(true);
      await expect(backend.delete(writer.ref)).rejects.toThrow();
      ledger.failFolders(false);
      const other = open(store, { durability: "disk" });
      await other.delete(writer.ref);
      expectSynced();
      await other.close();
    });
  },
);
