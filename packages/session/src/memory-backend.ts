import { AixgoError } from "@aixgo/core";
import type { Append, Appended, CreateRequest, Head, Position, ReadRange, Ref, SessionBackend } from "./contract.ts";
import { fold } from "./fold.ts";
import type { Hints } from "./hints.ts";
import { copiedBlobs, createMemoryBlobs, MAX_BLOB_BYTES, type MemoryBlobs } from "./memory-blobs.ts";
import { listPage } from "./memory-list.ts";
import { boundsOf, indexLines, joined, type LeaseRecord, linesSince, type MemoryLog, PAGE_BYTES } from "./memory-log.ts";
import { MemoryWatchers } from "./memory-watch.ts";

const TOMBSTONE_MS = 30 * 24 * 60 * 60 * 1000;
const MAX_TOMBSTONES = 100_000;
const DEFAULT_MAX_LINE_BYTES = 16 * 1024 * 1024;

export interface MemoryBackendOptions {
  /** The store to open, so that two backends of this process share it. @default a new one */
  readonly store?: MemoryStore;
  /** Metadata keys that `list` filters without `scan`. @default [] */
  readonly indexedMetadata?: readonly string[];
  /** Longest line in bytes, its line end not counted. @default 16 MiB */
  readonly maxLineBytes?: number;
}

/** What the backends of one store share. Opaque: made by `createMemoryStore`. */
export interface MemoryStore {
  readonly logs: Map<string, MemoryLog>;
  /** By id, the oldest first. */
  readonly tombstones: Map<string, { readonly incarnation: string; readonly deletedAt: number }>;
  /** Id of the session that has a unique key. */
  readonly keys: Map<string, string>;
  readonly watchers: MemoryWatchers;
  /** Milliseconds, never going back. */
  readonly now: () => number;
}

/** An empty store. `now` is the clock of leases and tombstones, in milliseconds. */
export function createMemoryStore(options: { readonly now?: () => number } = {}): MemoryStore {
  return {
    logs: new Map(),
    tombstones: new Map(),
    keys: new Map(),
    watchers: new MemoryWatchers(),
    now: options.now ?? (() => performance.now()),
  };
}

/**
 * Sessions in the memory of this process: the reference for what `SessionBackend` means, and the light mode. Each method
 * checks and changes in one synchronous stretch, after whatever it had to wait for; that is all the locking there is.
 *
 * Throws `INVALID_OPTION`. Closing it leaves the store to other backends that share it.
 */
export function createMemoryBackend(options: MemoryBackendOptions = {}): SessionBackend {
  const { store, capabilities } = resolveOptions(options);
  const { maxLineBytes } = capabilities;
  const watching = new Set<Hints>();
  let closed = false;

  function ready(operation: string): void {
    if (closed) throw new AixgoError("BACKEND_CLOSED", `${operation}: this memory backend has been closed`);
  }

  function isDeleted(id: string): boolean {
    const tombstone = store.tombstones.get(id);
    return tombstone !== undefined && store.now() - tombstone.deletedAt < TOMBSTONE_MS;
  }

  function logOf(operation: string, id: string): MemoryLog {
    const log = store.logs.get(id);
    if (log !== undefined) return log;
    if (isDeleted(id)) throw new AixgoError("SESSION_DELETED", `${operation}: session ${id} has been deleted`);
    throw new AixgoError("SESSION_NOT_FOUND", `${operation}: there is no session ${id}`);
  }

  function current(operation: string, ref: Ref): MemoryLog {
    const log = logOf(operation, ref.id);
    if (log.head.incarnation === ref.incarnation) return log;
    throw new AixgoError("INCARNATION_CHANGED", `${operation}: session ${ref.id} has been rewritten since it was opened; open it again`);
  }

  function isLive(lease: LeaseRecord | undefined): boolean {
    return lease !== undefined && lease.expiresAt > store.now();
  }

  /** What callers see: the fold, and beside it what is the store's own. */
  function headOf(log: MemoryLog): Head {
    const { lease } = log;
    return {
      ...log.head,
      fence: Math.max(log.head.fence, log.fence),
      ...(lease === undefined
        ? undefined
        : {
            lease: {
              fence: lease.fence,
              holder: lease.holder,
              expiresInMs: Math.ceil(lease.expiresAt - store.now()),
              ...(lease.cancelRequested === undefined ? undefined : { cancelRequested: lease.cancelRequested }),
            },
          }),
      ...(log.keys === undefined ? undefined : { keys: log.keys.slice() }),
    };
  }

  /** The record of a lease that the caller says it has. */
  function held(operation: string, log: MemoryLog, lease: { readonly fence: number; readonly token: string }): LeaseRecord {
    const record = log.lease;
    if (record !== undefined && record.fence === lease.fence && record.token === lease.token) return record;
    throw new AixgoError(
      "FENCED",
      `${operation}: the lease of session ${log.head.id} with fence ${lease.fence} has been released or taken over`,
    );
  }

  function conflict(log: MemoryLog, expect: Position): Appended {
    const since = linesSince(log, expect);
    return { conflict: headOf(log), ...(since === undefined ? undefined : { since }) };
  }

  function accept(operation: string, id: string, line: Uint8Array): Uint8Array {
    if (line.length > maxLineBytes) {
      throw new AixgoError(
        "LIMIT_EXCEEDED",
        `${operation}: an entry of session ${id} has ${line.length} bytes; this store takes ${maxLineBytes}`,
        {
          details: { session: id, bytes: line.length, maxLineBytes },
        },
      );
    }
    return Uint8Array.from(line);
  }

  /** A log of its own, not yet in the store. */
  async function build(operation: string, ref: Ref, lines: AsyncIterable<Uint8Array>, blobs: () => MemoryBlobs): Promise<MemoryLog> {
    const stored: Uint8Array[] = [];
    let head: Head | undefined;
    for await (const line of lines) {
      const copy = accept(operation, ref.id, line);
      head = fold(head, copy);
      stored.push(copy);
    }
    if (head?.id !== ref.id || head.incarnation !== ref.incarnation) {
      throw new AixgoError("INVALID_INPUT", `${operation}: the lines do not begin with the header of this life of session ${ref.id}`);
    }
    const log: MemoryLog = { lines: stored, head, fence: head.fence, ops: new Map(), ids: new Map(), blobs: blobs() };
    indexLines(log, stored);
    return log;
  }

  function blobsOf(operation: string, ref: Ref): MemoryBlobs {
    ready(operation);
    return current(operation, ref).blobs;
  }

  /** How a create is answered without writing anything, if it is. */
  function refuse({ ref, info, onKey }: CreateRequest, slot: string | undefined): Head | undefined {
    const holder = slot === undefined ? undefined : store.keys.get(slot);
    if (holder !== undefined && onKey === "get") return headOf(logOf("create", holder));
    if (holder !== undefined && onKey === undefined) {
      throw new AixgoError("KEY_EXISTS", `create: a session of agent ${info.agentName} has this key already`, {
        details: { session: holder },
      });
    }
    if (store.logs.has(ref.id))
      throw new AixgoError("KEY_EXISTS", `create: session ${ref.id} exists already`, { details: { session: ref.id } });
    if (isDeleted(ref.id)) throw new AixgoError("SESSION_DELETED", `create: session ${ref.id} has been deleted`);
    return undefined;
  }

  return {
    name: "memory",
    capabilities,

    async create(request) {
      ready("create");
      const slot = slotOf(request.info);
      const taken = refuse(request, slot);
      if (taken !== undefined) return { head: taken, created: false };
      const log = await build("create", request.ref, request.lines(request.ref.id), () => copiedBlobs(request, store.now, blobsOf));
      ready("create");
      // Others may have been faster while the lines came. Nothing of this create is in the store yet, so none is ever left unfinished.
      const lost = refuse(request, slot);
      if (lost !== undefined) return { head: lost, created: false };
      store.logs.set(request.ref.id, log);
      if (slot !== undefined) {
        log.slot = slot;
        store.keys.set(slot, request.ref.id);
      }
      return { head: headOf(log), created: true };
    },

    async head(id) {
      ready("head");
      return headOf(logOf("head", id));
    },

    async append(ref, request) {
      ready("append");
      refuseAborted("append", ref.id, request.signal);
      checkAppend(ref, request);
      const lines = request.lines.map((line) => accept("append", ref.id, line));
      const log = current("append", ref);
      const { expect, acquire, lease } = request;
      if (log.head.seq !== expect.seq || log.head.hash !== expect.hash) return conflict(log, expect);
      if (acquire !== undefined && (isLive(log.lease) || acquire.fence !== headOf(log).fence + 1)) return conflict(log, expect);
      if (lease !== undefined) held("append", log, lease);
      // Nothing is changed before the last line has been folded: a line that does not follow throws.
      const head = lines.reduce<Head>(fold, log.head);
      log.head = head;
      for (const line of lines) log.lines.push(line);
      indexLines(log, lines);
      if (acquire !== undefined) {
        log.fence = acquire.fence;
        log.lease = { fence: acquire.fence, token: acquire.token, holder: acquire.holder, expiresAt: store.now() + acquire.ttlMs };
      }
      if (request.release === true) delete log.lease;
      if (request.keys !== undefined) log.keys = Uint8Array.from(request.keys);
      store.watchers.tell(ref.id);
      return { head: headOf(log) };
    },

    async *read(ref, range: ReadRange = {}) {
      ready("read");
      const log = current("read", ref);
      const { first, last } = boundsOf(ref, range, log.head.seq);
      const step = range.reverse === true ? -1 : 1;
      let next = step > 0 ? first : last;
      while (next >= first && next <= last) {
        // Asked again for each page: between two pages the session may have been deleted or rewritten.
        ready("read");
        refuseAborted("read", ref.id, range.signal);
        const { lines } = current("read", ref);
        const page: Uint8Array[] = [];
        for (let bytes = 0; next >= first && next <= last; next += step) {
          const line = lines[next] as Uint8Array;
          bytes += line.length + 1;
          if (page.length > 0 && bytes > PAGE_BYTES) break;
          page.push(line);
        }
        yield joined(page);
      }
    },

    async find(ref, what) {
      ready("find");
      const log = current("find", ref);
      return "op" in what ? log.ops.get(what.op) : log.ids.get(what.entryId);
    },

    async list(query) {
      ready("list");
      return listPage(
        Array.from(store.logs.values(), (log) => log.head.info),
        query,
        capabilities,
      );
    },

    async renew(ref, lease, ttlMs) {
      ready("renew");
      checkTtl("renew", ref, ttlMs);
      const log = current("renew", ref);
      const record: LeaseRecord = { ...held("renew", log, lease), expiresAt: store.now() + ttlMs };
      log.lease = record;
      const { expiresAt: _, ...rest } = record;
      return { ...rest, expiresInMs: ttlMs };
    },

    async cancel(ref, reason) {
      ready("cancel");
      const log = current("cancel", ref);
      if (log.lease === undefined || !isLive(log.lease)) return false;
      log.lease = { ...log.lease, cancelRequested: reason };
      return true;
    },

    async rewrite(ref, { expect, next, lines, blobs: named }) {
      ready("rewrite");
      if (next.id !== ref.id || next.incarnation === ref.incarnation) {
        throw new AixgoError("INVALID_INPUT", `rewrite: session ${ref.id} keeps its id and gets another incarnation`);
      }
      const refused = (): Appended | undefined => {
        const log = current("rewrite", ref);
        return log.head.seq !== expect.seq || log.head.hash !== expect.hash || isLive(log.lease) ? conflict(log, expect) : undefined;
      };
      const early = refused();
      if (early !== undefined) return early;
      const built = await build("rewrite", next, lines, () => new Map());
      ready("rewrite");
      const late = refused();
      if (late !== undefined) return late;
      const kept = named?.();
      for (const [digest, blob] of current("rewrite", ref).blobs) if (kept?.has(digest) !== false) built.blobs.set(digest, blob);
      // What lies outside the log stays with the id; the lease was of the old life.
      const { keys, slot } = current("rewrite", ref);
      if (keys !== undefined) built.keys = keys;
      if (slot !== undefined) built.slot = slot;
      store.logs.set(ref.id, built);
      store.watchers.tell(ref.id);
      return { head: headOf(built) };
    },

    async delete(ref) {
      ready("delete");
      if (!store.logs.has(ref.id) && isDeleted(ref.id) && store.tombstones.get(ref.id)?.incarnation === ref.incarnation) return;
      const log = current("delete", ref);
      bury(store, ref);
      store.logs.delete(ref.id);
      if (log.slot !== undefined && store.keys.get(log.slot) === ref.id) store.keys.delete(log.slot);
      store.watchers.tell(ref.id);
    },

    async close() {
      closed = true;
      for (const hints of watching) hints.end();
    },

    async *watch(ref, after, signal) {
      ready("watch");
      const { seq, hash } = current("watch", ref).head;
      yield* store.watchers.hear(ref.id, seq !== after.seq || hash !== after.hash, signal, watching);
    },

    blobs: createMemoryBlobs(store.now, blobsOf),
  };
}

function resolveOptions(options: MemoryBackendOptions): {
  readonly store: MemoryStore;
  readonly capabilities: SessionBackend["capabilities"];
} {
  const { store = createMemoryStore(), indexedMetadata = [], maxLineBytes = DEFAULT_MAX_LINE_BYTES, ...unknown } = options;
  const invalid = (name: string, rule: string): AixgoError => new AixgoError("INVALID_OPTION", `createMemoryBackend: ${name} ${rule}`);
  for (const name of Object.keys(unknown)) throw invalid(name, "is not an option");
  if (!Number.isSafeInteger(maxLineBytes) || maxLineBytes < 1) throw invalid("maxLineBytes", "must be a whole number of bytes above zero");
  if (!Array.isArray(indexedMetadata) || indexedMetadata.some((key) => typeof key !== "string"))
    throw invalid("indexedMetadata", "must be a list of keys");
  return {
    store,
    capabilities: {
      sharedBy: "process",
      durability: "memory",
      maxLineBytes,
      indexedMetadata: [...indexedMetadata],
      ttl: false,
      maxBlobBytes: MAX_BLOB_BYTES,
    },
  };
}

function checkAppend(ref: Ref, { lines, acquire, lease, release }: Append): void {
  const invalid = (rule: string): AixgoError => new AixgoError("INVALID_INPUT", `append to session ${ref.id}: ${rule}`);
  if (lines.length === 0) throw invalid("there are no lines");
  if (acquire !== undefined && (lease !== undefined || release === true))
    throw invalid("a lease is taken, used or released, one at a time");
  if (release === true && lease === undefined) throw invalid("the lease to be released is not given");
  if (acquire !== undefined) checkTtl("append", ref, acquire.ttlMs);
}

function checkTtl(operation: string, ref: Ref, ttlMs: number): void {
  if (!(ttlMs > 0 && ttlMs < Number.POSITIVE_INFINITY))
    throw new AixgoError("INVALID_INPUT", `${operation}: ttlMs of the lease of session ${ref.id} must be a time above zero`);
}

function refuseAborted(operation: string, id: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new AixgoError("CANCELLED", `${operation}: given up for session ${id}, as its signal asked`, { cause: signal.reason });
}

/** Where the key record of a session lies; absent without a key. */
function slotOf({
  tenantId,
  agentName,
  key,
}: {
  readonly tenantId?: string;
  readonly agentName: string;
  readonly key?: string;
}): string | undefined {
  return key === undefined ? undefined : JSON.stringify([tenantId ?? null, agentName, key]);
}

function bury(store: MemoryStore, ref: Ref): void {
  const now = store.now();
  store.tombstones.delete(ref.id);
  store.tombstones.set(ref.id, { incarnation: ref.incarnation, deletedAt: now });
  for (const [id, { deletedAt }] of store.tombstones) {
    if (now - deletedAt < TOMBSTONE_MS && store.tombstones.size <= MAX_TOMBSTONES) return;
    store.tombstones.delete(id);
  }
}
