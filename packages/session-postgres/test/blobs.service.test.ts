import { createHash, randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { createSessionManager } from "@aixgo/session";
import { createPostgresBackend } from "@aixgo/session-postgres";
import type { BlobStore, Ref, SessionBackend } from "@aixgo/session/backend";
import { createLog, message } from "@aixgo/session-testkit";
import { append, codeOf, creating, errorOf, linesOf, startSession } from "./support/sessions.ts";
import { newName, serverUrl, sql } from "./support/server.ts";

const MIB = 1024 * 1024;
const connectionString = serverUrl();
const schema = newName("s");
const backend = createPostgresBackend({ connectionString, schema });
const blobs = backend.blobs as BlobStore;
afterAll(async () => {
  await backend.close();
  await sql(`DROP SCHEMA "${schema}" CASCADE`);
});

async function* chunksOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

function digestOf(bytes: Uint8Array): string {
  return `sha256-${createHash("sha256").update(bytes).digest("hex")}`;
}

async function readBlob(store: BlobStore, ref: Ref, digest: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.get(ref, digest)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function count(table: string): Promise<number> {
  const [row] = await sql(`SELECT count(*)::int AS n FROM "${schema}".${table}`);
  return row?.["n"] as number;
}

it("bytes of any length around the edges of chunks and pieces come back, in rows of 256 KiB", async () => {
  const { ref } = await startSession(backend);
  for (const size of [0, 1, MIB / 4 - 1, MIB / 4, MIB / 4 + 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5]) {
    const bytes = randomBytes(size);
    // Chunks of the source that fit neither.
    const parts = Array.from({ length: Math.ceil(size / 300_007) }, (_, i) => bytes.subarray(i * 300_007, (i + 1) * 300_007));
    const digest = await blobs.put(ref, undefined, chunksOf(...parts));
    expect(digest).toBe(digestOf(bytes));
    expect((await readBlob(blobs, ref, digest)).equals(bytes), `${size} bytes`).toBe(true);
  }
  const sizes = await sql(`SELECT max(octet_length(chunk))::int AS most FROM "${schema}".blob_chunks`);
  expect(sizes).toEqual([{ most: MIB / 4 }]);
  expect(await count("loose_blobs")).toBe(0);
  await backend.delete(ref);
  expect(await count("blob_chunks")).toBe(0);
});

it("nobody sees a blob before its last byte; what a put leaves behind that breaks off is taken away", async () => {
  const { ref } = await startSession(backend);
  const bytes = randomBytes(3 * MIB);
  const digest = digestOf(bytes);
  let seen: string | undefined;
  await blobs.put(
    ref,
    digest,
    (async function* () {
      yield bytes.subarray(0, 2.5 * MIB);
      expect(await count("blob_chunks")).toBeGreaterThan(0);
      seen = await codeOf(() => readBlob(blobs, ref, digest));
      expect(await blobs.touch(ref, digest)).toBe(false);
      yield bytes.subarray(2.5 * MIB);
    })(),
  );
  expect(seen).toBe("ENTRY_NOT_FOUND");
  const before = await count("blob_chunks");
  const failure = new Error("the source failed");
  await expect(
    blobs.put(
      ref,
      undefined,
      (async function* () {
        yield randomBytes(2 * MIB);
        throw failure;
      })(),
    ),
  ).rejects.toBe(failure);
  // The same bytes again, of which nobody knew before the last one.
  await blobs.put(ref, undefined, chunksOf(bytes));
  expect(await count("blob_chunks")).toBe(before);
  expect(await count("loose_blobs")).toBe(0);
  await backend.delete(ref);
});

it("what a node left behind that died in the middle of a put goes with a later collect, once it is a day old", async () => {
  const { ref } = await startSession(backend);
  const node = createPostgresBackend({ connectionString, schema });
  let stall: () => void = () => undefined;
  const stalled = new Promise<void>((resolve) => (stall = resolve));
  let drawn: () => void = () => undefined;
  const isDrawn = new Promise<void>((resolve) => (drawn = resolve));
  const put = codeOf(() =>
    (node.blobs as BlobStore).put(
      ref,
      undefined,
      (async function* () {
        yield randomBytes(2 * MIB + 1);
        drawn();
        await stalled;
        yield randomBytes(1);
      })(),
    ),
  );
  await isDrawn;
  // A body that stalls holds up no close.
  await node.close();
  stall();
  expect(await put).toBe("BACKEND_CLOSED");
  expect(await count("loose_blobs")).toBe(1);
  expect(await blobs.collect(ref, new Set(), 0)).toBe(0);
  expect(await count("blob_chunks")).toBeGreaterThan(0);
  await sql(`UPDATE "${schema}".loose_blobs SET purge_after = now() - interval '1 second'`);
  expect(await blobs.collect(ref, new Set(), 0)).toBe(0);
  expect([await count("blob_chunks"), await count("loose_blobs")]).toEqual([0, 0]);
  await backend.delete(ref);
});

it("chunks that were cleared away under a slow put are no attachment, but an error", async () => {
  const { ref } = await startSession(backend);
  const error = await errorOf(() =>
    blobs.put(
      ref,
      undefined,
      (async function* () {
        yield randomBytes(2 * MIB + 1);
        await sql(`UPDATE "${schema}".loose_blobs SET purge_after = now() - interval '1 second'`);
        await blobs.collect(ref, new Set(), 0);
        yield randomBytes(3);
      })(),
    ),
  );
  expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", message: expect.stringContaining("nothing was") });
  expect(await count("blobs")).toBe(0);
  await backend.delete(ref);
});

it("a fork shares the bytes of its origin, which go with the last of them", async () => {
  const origin = await startSession(backend);
  const bytes = randomBytes(MIB);
  const digest = await blobs.put(origin.ref, undefined, chunksOf(bytes));
  const forks = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const fork = createLog({ sync: true });
      await backend.create({ ...creating(fork), blobs: () => ({ from: origin.ref, digests: new Set([digest]) }) });
      return fork.ref;
    }),
  );
  expect(await count("blob_chunks")).toBe(4);
  const refs = [origin.ref, ...forks];
  for (const [i, ref] of refs.entries()) {
    expect((await readBlob(blobs, ref, digest)).equals(bytes)).toBe(true);
    if (i % 2 === 0) await backend.delete(ref);
    else expect(await blobs.collect(ref, new Set(), 0)).toBe(1);
    expect(await count("blob_chunks")).toBe(i === 3 ? 0 : 4);
  }
  for (const ref of [forks[0], forks[2]] as Ref[]) await backend.delete(ref);
});

it("a fork into another tenant has bytes of its own, and so has a session that a rewrite gives to another", async () => {
  const origin = await startSession(backend, { tenantId: "acme" });
  const bytes = randomBytes(MIB);
  const digest = await blobs.put(origin.ref, undefined, chunksOf(bytes));
  const fork = createLog({ sync: true, tenantId: "zeta" });
  await backend.create({ ...creating(fork), blobs: () => ({ from: origin.ref, digests: new Set([digest]) }) });
  expect(await sql(`SELECT tenant_id, count(*)::int AS n FROM "${schema}".blob_chunks GROUP BY 1 ORDER BY 1`)).toEqual([
    { tenant_id: "acme", n: 4 },
    { tenant_id: "zeta", n: 4 },
  ]);
  const next = createLog({ id: fork.ref.id, sync: true, tenantId: "beta" });
  await backend.rewrite(fork.ref, { expect: fork.position, next: next.ref, lines: linesOf(next) });
  expect((await readBlob(blobs, next.ref, digest)).equals(bytes)).toBe(true);
  await backend.delete(origin.ref);
  expect(await sql(`SELECT DISTINCT tenant_id FROM "${schema}".blob_chunks`)).toEqual([{ tenant_id: "beta" }]);
  await backend.delete(next.ref);
  expect(await count("blob_chunks")).toBe(0);
});

it("puts and collects of one digest by several nodes at once never leave a name without its bytes", async () => {
  const nodes = [backend, createPostgresBackend({ connectionString, schema }), createPostgresBackend({ connectionString, schema })];
  const { ref } = await startSession(backend);
  const bytes = randomBytes(MIB + 7);
  const digest = digestOf(bytes);
  for (let round = 0; round < 12; round++) {
    const work = nodes.flatMap(({ blobs: store }, i) => [
      (store as BlobStore).put(ref, i === 0 ? digest : undefined, chunksOf(bytes)),
      (store as BlobStore).collect(ref, new Set(), 0),
    ]);
    await Promise.all(work);
    try {
      expect((await readBlob(blobs, ref, digest)).equals(bytes)).toBe(true);
    } catch (error) {
      expect(error).toMatchObject({ code: "ENTRY_NOT_FOUND" });
    }
  }
  await backend.delete(ref);
  for (const node of nodes.slice(1)) await node.close();
  expect([await count("blobs"), await count("blob_chunks")]).toEqual([0, 0]);
}, 60_000);

it("a fork that races with the delete of its origin has all of its bytes, or is not there", async () => {
  for (let round = 0; round < 10; round++) {
    const origin = await startSession(backend);
    const bytes = randomBytes(1000);
    const digest = await blobs.put(origin.ref, undefined, chunksOf(bytes));
    const fork = createLog({ sync: true });
    const created = backend.create({ ...creating(fork), blobs: () => ({ from: origin.ref, digests: new Set([digest]) }) }).then(
      () => "created",
      (error: { code: string }) => error.code,
    );
    await backend.delete(origin.ref);
    const outcome = await created;
    expect(["created", "SESSION_DELETED"]).toContain(outcome);
    if (outcome === "created") {
      expect((await readBlob(blobs, fork.ref, digest)).equals(bytes)).toBe(true);
      await backend.delete(fork.ref);
    } else expect(await codeOf(() => backend.head(fork.ref.id))).toBe("SESSION_NOT_FOUND");
  }
  expect([await count("blobs"), await count("blob_chunks"), await count("loose_blobs")]).toEqual([0, 0, 0]);
}, 60_000);

it("a missing or damaged chunk is ENTRY_CORRUPT, not shorter content", async () => {
  const { ref } = await startSession(backend);
  const digest = await blobs.put(ref, undefined, chunksOf(randomBytes(MIB)));
  await sql(`UPDATE "${schema}".blob_chunks SET chunk = chunk || '\\x00' WHERE no = 1`);
  expect(await codeOf(() => readBlob(blobs, ref, digest))).toBe("ENTRY_CORRUPT");
  await sql(`DELETE FROM "${schema}".blob_chunks WHERE no = 1`);
  expect(await codeOf(() => readBlob(blobs, ref, digest))).toBe("ENTRY_CORRUPT");
  await sql(`DELETE FROM "${schema}".blob_chunks`);
  expect(await codeOf(() => readBlob(blobs, ref, digest))).toBe("ENTRY_CORRUPT");
  await backend.delete(ref);
});

it("through a pool of one connection several bodies come at once, drawn from the same store", async () => {
  const pool = new pg.Pool({ connectionString, max: 1 });
  const narrow: SessionBackend = createPostgresBackend({ pool, schema, maxBlobBytes: 4 * MIB });
  const store = narrow.blobs as BlobStore;
  const logs = await Promise.all([startSession(narrow), startSession(narrow)]);
  const [from, to] = logs as [(typeof logs)[0], (typeof logs)[0]];
  const bytes = randomBytes(3 * MIB);
  const digest = await store.put(from.ref, undefined, chunksOf(bytes));
  await Promise.all([store.put(to.ref, digest, store.get(from.ref, digest)), store.put(to.ref, undefined, store.get(from.ref, digest))]);
  expect((await readBlob(store, to.ref, digest)).equals(bytes)).toBe(true);
  expect(narrow.capabilities.maxBlobBytes).toBe(4 * MIB);
  expect(await codeOf(() => store.put(to.ref, undefined, chunksOf(bytes, bytes)))).toBe("LIMIT_EXCEEDED");
  expect(await codeOf(() => store.collect(to.ref, new Set(), Number.NaN))).toBe("INVALID_INPUT");
  for (const { ref } of logs) await narrow.delete(ref);
  expect([await count("blobs"), await count("blob_chunks"), await count("loose_blobs")]).toEqual([0, 0, 0]);
  await narrow.close();
  await pool.end();
});

it("content of a message that is large is stored beside the log, and comes back inline", async () => {
  const manager = createSessionManager({ backend: createPostgresBackend({ connectionString, schema }) });
  const session = await manager.create("assistant");
  const data = randomBytes(400_000);
  const url = `data:image/png;base64,${data.toString("base64")}`;
  await session.append({ role: "user", parts: [{ type: "file", mediaType: "image/png", url }] });
  const [stored] = await session.messages();
  expect(stored?.parts[0]).toMatchObject({ url: `attachment:${digestOf(data)}` });
  const [inline] = await session.messages({ attachments: "inline" });
  expect(inline?.parts[0]).toMatchObject({ url });
  const fork = await session.fork();
  await manager.delete(session.id);
  expect((await fork.messages({ attachments: "inline" }))[0]?.parts[0]).toMatchObject({ url });
  await manager.delete(fork.id);
  await manager.close();
});

it("an append and a put of one session do not wait for each other", async () => {
  const log = await startSession(backend);
  await blobs.put(
    log.ref,
    undefined,
    (async function* () {
      yield randomBytes(2 * MIB);
      await append(backend, log, message("meanwhile"));
      yield randomBytes(1);
    })(),
  );
  const holder = new pg.Client({ connectionString });
  await holder.connect();
  try {
    await holder.query("BEGIN");
    await holder.query(`SELECT 1 FROM "${schema}".sessions WHERE id = $1 FOR NO KEY UPDATE`, [log.ref.id]);
    // An append holds the row in this way.
    await blobs.put(log.ref, undefined, chunksOf(randomBytes(5)));
  } finally {
    await holder.query("ROLLBACK");
    await holder.end();
  }
  await backend.delete(log.ref);
});
