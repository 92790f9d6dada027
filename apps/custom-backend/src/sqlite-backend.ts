import { AixgoError } from "@aixgo/core";
import { assertSafeName } from "@aixgo/security";
import type { SessionBackend } from "@aixgo/session/backend";
import { append, assertAppend } from "./append.ts";
import { createBlobs, MAX_BLOB_BYTES } from "./blobs.ts";
import { refuseAborted } from "./cancellation.ts";
import { databaseNow } from "./clock.ts";
import { createSession, deleteSession, rewriteSession } from "./lives.ts";
import { assertText, assertTtl, held, isLive, prolonged, shown } from "./lease.ts";
import { listSessions } from "./listing.ts";
import { findLine, pageOf, type Span, spanOf } from "./log-lines.ts";
import { resolveOptions, type SqliteBackendOptions } from "./options.ts";
import { assertRef, currentRow, headOf, putLease, rowOf } from "./session-row.ts";
import { createStore } from "./store.ts";

/**
 * Sessions in one SQLite database, shared by the processes of one host.
 *
 * Does nothing until its first call. The caller closes it.
 * @throws AixgoError `INVALID_OPTION`; from the first call on also `STORE_BUSY`, `PERMISSION_DENIED`, `BACKEND_UNAVAILABLE`
 */
export function createSqliteBackend(options: SqliteBackendOptions): SessionBackend {
  const resolved = resolveOptions(options);
  const { durability, maxLineBytes, indexedMetadata } = resolved;
  const store = createStore(resolved);

  return {
    name: "sqlite",
    capabilities: { sharedBy: "host", durability, maxLineBytes, indexedMetadata, ttl: false, maxBlobBytes: MAX_BLOB_BYTES },

    async create(request) {
      const doing = `create session ${request.ref.id}`;
      store.ready(doing);
      assertRef(request.ref);
      return createSession(store, doing, request);
    },

    async head(id) {
      const doing = `open session ${id}`;
      store.ready(doing);
      assertSafeName("session id", id);
      return store.read(doing, (connection) => headOf(connection, rowOf(connection, id)));
    },

    async append(ref, request) {
      const doing = `append to session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      refuseAborted(doing, request.signal);
      assertAppend(ref.id, request);
      const lines = request.lines.map((line) => store.accept(doing, line));
      return store.write(doing, (connection) => append(connection, currentRow(connection, ref), { ...request, lines }));
    },

    async *read(ref, range = {}) {
      const doing = `read session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      let rest: Span | undefined;
      for (;;) {
        refuseAborted(doing, range.signal);
        // Between two pages nothing is held, and the session may be deleted or rewritten.
        const next = await store.read(doing, (connection) => {
          const row = currentRow(connection, ref);
          return pageOf(connection, row, rest ?? spanOf(ref.id, range, row.folded.seq));
        });
        if (next === undefined) return;
        rest = next.rest;
        yield next.page;
      }
    },

    async find(ref, what) {
      const doing = `search session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      const wanted: unknown = "op" in what ? what.op : what.entryId;
      if (typeof wanted !== "string") throw new AixgoError("INVALID_INPUT", `${doing}: an op or entry id must be a text`);
      return store.read(doing, (connection) => findLine(connection, currentRow(connection, ref).log, what));
    },

    async list(query) {
      store.ready("list sessions");
      return listSessions(store, query, indexedMetadata);
    },

    async renew(ref, lease, ttlMs) {
      const doing = `renew the lease of session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      assertTtl(ref.id, ttlMs);
      return store.write(doing, (connection) => {
        const now = databaseNow(connection);
        const record = prolonged(held(currentRow(connection, ref).lease, lease, ref.id), ttlMs, now);
        putLease(connection, ref.id, record);
        return { ...shown(record, now), token: record.token };
      });
    },

    async cancel(ref, reason) {
      const doing = `cancel the turn of session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      assertText("the reason of a cancellation", reason);
      return store.write(doing, (connection) => {
        const { lease } = currentRow(connection, ref);
        if (!isLive(lease, databaseNow(connection))) return false;
        putLease(connection, ref.id, { ...lease, cancelRequested: reason });
        return true;
      });
    },

    async rewrite(ref, request) {
      const doing = `rewrite session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      assertRef(request.next);
      return rewriteSession(store, doing, ref, request);
    },

    async delete(ref, { erase = false } = {}) {
      const doing = `delete session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      return deleteSession(store, doing, ref, erase);
    },

    close: () => store.close(),
    blobs: createBlobs(store),
  };
}
