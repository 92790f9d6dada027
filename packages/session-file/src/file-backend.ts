import { setMaxListeners } from "node:events";
import { AixgoError, isAixgoError } from "@aixgo/core";
import type { Append, Lease, SessionBackend } from "@aixgo/session/backend";
import { isForeign, storeError } from "./fs-errors.ts";
import { MAX_BLOB_BYTES } from "./blobs.ts";
import { assertIncarnation, fenced, leaseUnderLock } from "./journal.ts";
import { assertId, folderOf } from "./layout.ts";
import { cancelled, holds, isLive, prolonged, remainingMs } from "./lease.ts";
import { resolveOptions, type FileBackendOptions } from "./options.ts";
import { remove } from "./removal.ts";
import { rewrite } from "./rewriting.ts";
import { find } from "./search.ts";
import { openStore, type Store } from "./store.ts";

const MAX_LEASE_TEXT = 256;
const MAX_TTL_MS = 86_400_000;

/**
 * Sessions in JSONL files, `<baseDir>/<agent>/<session>.jsonl`, shared by the processes of one host.
 *
 * Does nothing until its first call. The caller closes it.
 * @throws AixgoError `INVALID_OPTION`; from the first call on also `PERMISSION_DENIED` for a folder that others can read,
 * `STORE_UNSUPPORTED_FS`, `LOCK_UNAVAILABLE`, and `STORE_BUSY` if a stopped process holds a lock
 */
export function createFileBackend(options: FileBackendOptions = {}): SessionBackend {
  const resolved = resolveOptions(options);
  let opened: Promise<Store> | undefined;
  /** The same, as soon as it is there: later calls begin at once. */
  let ready: Store | undefined;
  let closing: Promise<void> | undefined;
  const closer = new AbortController();
  // Each put that is under way listens.
  setMaxListeners(0, closer.signal);
  const running = new Set<Promise<unknown>>();

  /** Every call passes here: lazily opened, counted for `close`, foreign errors translated. */
  async function call<T>(doing: string, body: (store: Store) => Promise<T>): Promise<T> {
    if (closing !== undefined) throw closed(doing);
    let run: Promise<T> | undefined;
    try {
      run = ready === undefined ? open().then(body) : body(ready);
      running.add(run);
      return await run;
    } catch (error) {
      throw isForeign(error) ? error : storeError(error, doing);
    } finally {
      if (run !== undefined) running.delete(run);
    }
  }

  async function open(): Promise<Store> {
    ready = await (opened ??= openStore(resolved).catch(forget));
    return ready;
  }

  /** The next call tries again. */
  function forget(error: unknown): never {
    opened = undefined;
    throw error;
  }

  /** The same for what comes piece by piece: each is a call of its own. */
  async function* pieces<T>(doing: string, begin: (store: Store) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    const source = (await call(doing, async (store) => begin(store)))[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await call(doing, async () => source.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await source.return?.();
    }
  }

  return {
    name: "file",
    capabilities: {
      sharedBy: resolved.singleProcess ? "process" : "host",
      durability: resolved.durability,
      maxLineBytes: resolved.maxLineBytes,
      indexedMetadata: resolved.indexedMetadata,
      ttl: false,
      verifiesReads: true,
      maxBlobBytes: MAX_BLOB_BYTES,
    },
    async create(request) {
      assertId(request.ref.id);
      folderOf(request.info.agentName);
      return call(`create session ${request.ref.id}`, (store) => store.create(request));
    },
    async head(id, given) {
      assertId(id);
      return call(`open session ${id}`, ({ journal }) => journal.head(id, given));
    },
    append(ref, request) {
      return call(`append to session ${ref.id}`, ({ journal }) => {
        assertId(ref.id);
        if (request.acquire !== undefined) assertLease(request.acquire);
        return journal.append(ref, request);
      });
    },
    async *read(ref, range) {
      assertId(ref.id);
      yield* pieces(`read session ${ref.id}`, ({ pages }) => pages.read(ref, range));
    },
    async find(ref, what) {
      assertId(ref.id);
      return call(`search session ${ref.id}`, ({ journal, pages }) => find(journal, pages, ref, what));
    },
    async list(query) {
      return call("list sessions", ({ catalog }) => catalog.list(query));
    },
    async renew(ref, lease, ttlMs) {
      assertId(ref.id);
      assertTtl(ttlMs);
      const doing = `renew the lease of session ${ref.id}`;
      return call(doing, ({ journal }) =>
        journal.withLock(ref, doing, (log): Lease => {
          const record = leaseUnderLock(log);
          if (!holds(record, lease)) throw fenced(ref.id, lease.fence);
          const next = prolonged(record, ttlMs);
          log.writeLease(next);
          const { fence, token, holder, cancelRequested } = next;
          return { fence, token, holder, expiresInMs: remainingMs(next), ...(cancelRequested === undefined ? {} : { cancelRequested }) };
        }),
      );
    },
    async cancel(ref, reason) {
      assertId(ref.id);
      const doing = `cancel the turn of session ${ref.id}`;
      return call(doing, ({ journal }) =>
        journal.withLock(ref, doing, (log) => {
          const record = leaseUnderLock(log);
          if (!isLive(record)) return false;
          log.writeLease(cancelled(record, reason));
          return true;
        }),
      );
    },
    async rewrite(ref, request) {
      assertId(ref.id);
      return call(`rewrite session ${ref.id}`, (store) => rewrite(store, ref, request));
    },
    async delete(ref, { erase = false } = {}) {
      assertId(ref.id);
      return call(`delete session ${ref.id}`, (store) => remove(store, ref, erase));
    },
    close() {
      return (closing ??= (async () => {
        closer.abort();
        await Promise.allSettled(running);
        const store = await opened?.catch(() => undefined);
        if (store === undefined) return;
        store.watchers.close();
        store.logs.close();
        await store.catalog.close();
        store.stripes.close();
      })());
    },
    async *watch(ref, _after, signal) {
      assertId(ref.id);
      const doing = `watch session ${ref.id}`;
      const { watchers, path } = await call(doing, async ({ journal, watchers }) =>
        journal.withLog(ref.id, (log) => {
          assertIncarnation(log, ref);
          return { watchers, path: log.path };
        }),
      );
      if (closing !== undefined) throw closed(doing);
      yield* watchers.hear(path, signal);
    },
    blobs: {
      async put(ref, digest, body, given) {
        assertId(ref.id);
        const doing = `put an attachment of session ${ref.id}`;
        // Closing must not wait for a source that stalls.
        const signal = given?.signal === undefined ? closer.signal : AbortSignal.any([given.signal, closer.signal]);
        try {
          return await call(doing, ({ blobs }) => blobs.put(ref, digest, body, { signal }));
        } catch (error) {
          throw closer.signal.aborted && isAixgoError(error, "CANCELLED") ? closed(doing) : error;
        }
      },
      async *get(ref, digest, given) {
        assertId(ref.id);
        yield* pieces(`read an attachment of session ${ref.id}`, ({ blobs }) => blobs.get(ref, digest, given));
      },
      async touch(ref, digest) {
        assertId(ref.id);
        return call(`touch an attachment of session ${ref.id}`, ({ blobs }) => blobs.touch(ref, digest));
      },
      async collect(ref, keep, olderThanMs) {
        assertId(ref.id);
        return call(`collect attachments of session ${ref.id}`, ({ blobs }) => blobs.collect(ref, keep, olderThanMs));
      },
    },
  };
}

/** What goes into a lease record is bounded: it is written within one page. */
function assertLease({ token, holder, ttlMs }: NonNullable<Append["acquire"]>): void {
  for (const [name, value] of Object.entries({ token, holder })) {
    if (typeof value !== "string" || value.length === 0 || value.length > MAX_LEASE_TEXT)
      throw new AixgoError("INVALID_OPTION", `option ${name} of a lease must be a text of 1 to ${MAX_LEASE_TEXT} characters`);
  }
  assertTtl(ttlMs);
}

function assertTtl(ttlMs: number): void {
  if (!Number.isFinite(ttlMs) || ttlMs < 0 || ttlMs > MAX_TTL_MS)
    throw new AixgoError("INVALID_OPTION", `option ttlMs must be a number from 0 to ${MAX_TTL_MS}`);
}

function closed(doing: string): AixgoError {
  return new AixgoError("BACKEND_CLOSED", `${doing}: this backend was closed`);
}
