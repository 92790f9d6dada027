import { AixgoError } from "@aixgo/core";
import type { Head, Lease, SessionBackend } from "@aixgo/session/backend";
import { append, checkTtl } from "./append.ts";
import { createAppendLanes } from "./append-lanes.ts";
import { listSessions } from "./catalog.ts";
import { columnText, mark, textOfColumn, whole } from "./column-text.ts";
import { createClaims } from "./claims.ts";
import { createConnections } from "./connection.ts";
import { createSession } from "./creation.ts";
import { prepareStore } from "./migrate.ts";
import { type PostgresBackendOptions, resolveOptions } from "./options.ts";
import { readPages } from "./reading.ts";
import { deleteSession, rewriteSession } from "./removal.ts";
import { statementsOf } from "./statements.ts";
import { currentHead, fenced, headOf, incarnationChanged, type Store } from "./store.ts";

/** A session may be removed between the check and the read of what was found. */
const NO_ROW = undefined;

/**
 * Sessions in PostgreSQL 13 or later, shared by the nodes of a cluster.
 *
 * Does nothing until its first call, which makes or checks the tables. The caller closes it; a pool that was given stays open.
 * @throws AixgoError `INVALID_OPTION`; from the first call on also `BACKEND_UNAVAILABLE`, `UNAUTHENTICATED`,
 * `PERMISSION_DENIED`, and `STORE_BUSY` if another transaction holds a session's row
 */
export function createPostgresBackend(options: PostgresBackendOptions): SessionBackend {
  const resolved = resolveOptions(options);
  const { schema, commandTimeoutMs, capabilities } = resolved;
  const connections = createConnections(resolved);
  const store: Store = { connections, statements: statementsOf(schema), options: resolved, lockMs: Math.floor(commandTimeoutMs * 0.8) };
  const lanes = createAppendLanes(store);
  const claims = createClaims(store);
  const running = new Set<Promise<unknown>>();
  let prepared: Promise<void> | undefined;
  let closing: Promise<void> | undefined;

  /** Every call passes here: it is counted for `close`, and the first one prepares the store. A failed preparation is tried again by the next call. */
  async function call<T>(doing: string, body: () => Promise<T>): Promise<T> {
    if (closing !== undefined) throw new AixgoError("BACKEND_CLOSED", `${doing}: this backend was closed`);
    const run = (async () => {
      prepared ??= prepareStore(connections, resolved).catch((error: unknown) => {
        prepared = undefined;
        throw error;
      });
      await prepared;
      return body();
    })();
    running.add(run);
    try {
      return await run;
    } finally {
      running.delete(run);
    }
  }

  return {
    name: "postgres",
    capabilities,
    async create(request) {
      return call(`create session ${request.ref.id}`, () => createSession(store, request));
    },
    async head(id): Promise<Head> {
      const doing = `open session ${id}`;
      return call(doing, () => headOf(store, doing, id));
    },
    async append(ref, request) {
      return call(`append to session ${ref.id}`, () => append(store, lanes, claims, ref, request));
    },
    async *read(ref, range = {}) {
      const doing = `read session ${ref.id}`;
      const pages = readPages(store, ref, range);
      for (;;) {
        const next = await call(doing, () => pages.next());
        if (next.done === true) return;
        yield next.value;
      }
    },
    async find(ref, what) {
      const doing = `search session ${ref.id}`;
      return call(doing, async () => {
        const { statements } = store;
        const [text, wanted] = "op" in what ? [statements.findOp, what.op] : [statements.findEntry, what.entryId];
        const [row] = await connections.run({ doing, effect: "read", text, values: [columnText(ref.id), mark(wanted)] });
        if (row === NO_ROW) {
          await currentHead(store, doing, ref);
          return undefined;
        }
        if (row["incarnation"] !== columnText(ref.incarnation)) throw incarnationChanged(doing);
        return row["seq"] === null ? undefined : Number(row["seq"]);
      });
    },
    async list(query) {
      return call("list sessions", () => listSessions(store, query));
    },
    async renew(ref, lease, ttlMs) {
      const doing = `renew the lease of session ${ref.id}`;
      return call(doing, async (): Promise<Lease> => {
        checkTtl(doing, ttlMs);
        const values = [columnText(ref.id), columnText(ref.incarnation), whole(lease.fence), columnText(lease.token), ttlMs];
        const [row] = await connections.run({ doing, effect: "write", text: store.statements.renew, values });
        if (row === NO_ROW) {
          await currentHead(store, doing, ref);
          throw fenced(doing, lease.fence);
        }
        const { holder, cancel } = row as { readonly holder: string; readonly cancel: string | null };
        const { fence, token } = lease;
        return {
          fence,
          token,
          holder: textOfColumn(holder),
          expiresInMs: ttlMs,
          ...(cancel === null ? undefined : { cancelRequested: textOfColumn(cancel) }),
        };
      });
    },
    async cancel(ref, reason) {
      const doing = `cancel the turn of session ${ref.id}`;
      return call(doing, async () => {
        const values = [columnText(ref.id), columnText(ref.incarnation), columnText(reason)];
        const rows = await connections.run({ doing, effect: "write", text: store.statements.cancel, values });
        if (rows.length === 0) await currentHead(store, doing, ref);
        return rows.length > 0;
      });
    },
    async rewrite(ref, request) {
      return call(`rewrite session ${ref.id}`, () => rewriteSession(store, ref, request));
    },
    // A dropped row leaves nothing to erase besides: keys lie in it, and there are no blobs.
    async delete(ref) {
      return call(`delete session ${ref.id}`, () => deleteSession(store, ref));
    },
    close() {
      return (closing ??= (async () => {
        await Promise.allSettled(running);
        await claims.end();
        await connections.end();
      })());
    },
  };
}
