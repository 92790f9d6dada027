import { AixgoError } from "@aixgo/core";
import { isSessionId } from "@aixgo/security";
import type { SessionBackend } from "@aixgo/session/backend";
import { append, checkTtl, leaseMs } from "./appending.ts";
import { createBlobs } from "./blobs.ts";
import { createCatalog } from "./catalog.ts";
import { createConnection } from "./connection.ts";
import { create } from "./creation.ts";
import { createFairAppends } from "./fair-appends.ts";
import { createHeads } from "./heads.ts";
import { createKeyRecords } from "./key-records.ts";
import { createKeys } from "./keys.ts";
import { list } from "./listing.ts";
import { fieldsFor, seqOf, WHOLE } from "./marks.ts";
import { type RedisBackendOptions, resolveOptions } from "./options.ts";
import { encodeText, incarnationText, unpackHead, unpackLease } from "./packed-head.ts";
import { read } from "./reading.ts";
import { rewrite } from "./rewriting.ts";
import { scripts, tellingScripts } from "./scripts.ts";
import { createServerCheck } from "./server-check.ts";
import { createWatching } from "./watching.ts";
import { accept, createStore, namingDamage, STATUS } from "./store.ts";

const TOMBSTONE_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * Sessions in Redis 6.2 or later, or Valkey: a single server, Sentinel or a Cluster. Nothing is connected before the first
 * call, and a failed connection is tried again by the next one.
 *
 * Throws `INVALID_OPTION`. Calls throw `BACKEND_UNAVAILABLE`, `UNAUTHENTICATED` and `PERMISSION_DENIED` as well as what the
 * contract says. `close` closes what the backend has connected itself, never the client that it was given.
 */
export function createRedisBackend(options: RedisBackendOptions): SessionBackend {
  const resolved = resolveOptions(options);
  const connection = createConnection(resolved);
  const keys = createKeys(resolved.keyPrefix, resolved.indexedMetadata);
  const check = createServerCheck(connection, resolved);
  const store = createStore(resolved, keys, connection, check);
  const heads = createHeads(store);
  const catalog = createCatalog(store);
  const records = createKeyRecords(store);
  const fairly = createFairAppends();
  const watching = createWatching(store, connection, check, heads);

  /** The same checks for every method that names a session; what cannot be an id names none. */
  function known(operation: string, id: string): void {
    store.open(operation);
    if (!isSessionId(id)) throw new AixgoError("SESSION_NOT_FOUND", `${operation}: there is no such session, for that is no session id`);
  }

  const blobs = createBlobs(store, known);

  function within<T>(verb: string, id: string, work: (operation: string) => Promise<T>): Promise<T> {
    const operation = `${verb} session ${shown(id)}`;
    try {
      known(operation, id);
    } catch (error) {
      return Promise.reject(error);
    }
    return namingDamage(store, operation, id, work(operation));
  }

  return {
    name: "redis",
    capabilities: {
      sharedBy: "cluster",
      durability: resolved.durability,
      maxLineBytes: resolved.maxLineBytes,
      indexedMetadata: resolved.indexedMetadata,
      ttl: true,
      maxBlobBytes: resolved.maxBlobBytes,
    },

    create: (request) => create(store, heads, catalog, records, blobs, request),

    head: (id) => within("head of", id, async (operation) => (await heads.load(operation, id)).head),

    append: (ref, request) =>
      within("append to", ref.id, (operation) =>
        fairly.append(ref.id, request, () => append(store, heads, catalog, records, operation, ref, request)),
      ),

    async *read(ref, range = {}) {
      known(`read of session ${shown(ref.id)}`, ref.id);
      try {
        yield* read(store, ref, range);
      } catch (error) {
        await within("read of", ref.id, () => Promise.reject(error));
      }
    },

    find: (ref, what) =>
      within("find in", ref.id, async (operation) => {
        const { head, lines, marks } = keys.session(ref.id);
        const args = [incarnationText(ref.incarnation), WHOLE, ...fieldsFor(what)];
        const call = { operation, script: scripts.find, keys: [head, lines, marks] };
        const seqIn = (reply: unknown): number | undefined => {
          const [, first, second] = accept(operation, ref, reply);
          return seqOf(what, text(first), text(second));
        };
        const found = seqIn(await store.read({ ...call, args: [...args, ""] }));
        // Who finds an entry takes it for acknowledged: a master that has been replaced, and does not know it yet, must not say so.
        if (found === undefined || resolved.durability !== "quorum") return found;
        return seqIn((await store.write({ ...call, args: [...args, "w"] })).reply);
      }),

    list: (query) => list(store, catalog, query),

    renew: (ref, { fence, token }, ttlMs) =>
      within("renew the lease of", ref.id, async (operation) => {
        checkTtl(operation, ttlMs);
        const { head, lines } = keys.session(ref.id);
        const args = [incarnationText(ref.incarnation), String(fence), `t${encodeText(token)}`, leaseMs(ttlMs)];
        const [, line, now] = accept(operation, ref, await store.read({ operation, script: scripts.renew, keys: [head, lines], args }));
        const { lease } = unpackLease(String(line));
        if (lease === undefined)
          throw new AixgoError("ENTRY_CORRUPT", `${operation}: its record cannot be read`, { details: { session: ref.id, key: "head" } });
        const { expiresAt, ...rest } = lease;
        return { ...rest, expiresInMs: expiresAt - (now as number) };
      }),

    cancel: (ref, reason) =>
      within("cancel the turn of", ref.id, async (operation) => {
        const { head, lines } = keys.session(ref.id);
        const args = [incarnationText(ref.incarnation), `c${encodeText(reason)}`];
        const [status] = accept(operation, ref, await store.read({ operation, script: scripts.cancel, keys: [head, lines], args }));
        return status === STATUS.done;
      }),

    rewrite: (ref, request) => within("rewrite of", ref.id, () => rewrite(store, heads, catalog, ref, request)),

    delete: (ref, { erase = false } = {}) =>
      within("delete", ref.id, async (operation) => {
        const session = keys.session(ref.id);
        const { reply } = await store.write({
          operation,
          script: tellingScripts.delete,
          keys: [session.head, session.lines, session.marks, session.blobs],
          args: [incarnationText(ref.incarnation), String(TOMBSTONE_MS), erase ? "1" : ""],
        });
        const [status, packed] = accept(operation, ref, reply);
        heads.drop(ref.id);
        // Of remains nobody can say where they were listed, and a key that names them is free for the next caller.
        if (status !== STATUS.done || packed === undefined) return;
        const { info } = unpackHead(ref.id, packed as Buffer).fold;
        await Promise.all([records.release(operation, info), catalog.leave(info)]);
      }),

    close() {
      watching.close();
      return store.close();
    },

    async *watch(ref, after, signal) {
      const operation = `watch session ${shown(ref.id)}`;
      known(operation, ref.id);
      yield* watching.hear(operation, ref, after, signal);
    },

    blobs,
  };
}

function text(value: unknown): string | undefined {
  if (Buffer.isBuffer(value)) return value.toString();
  return typeof value === "string" || typeof value === "number" ? `${value}` : undefined;
}

/** An id as a caller without types may give it: short, and a text. */
function shown(id: unknown): string {
  return typeof id === "string" ? id.slice(0, 64) : typeof id;
}
