import { AixgoError } from "@aixgo/core";
import type { Head, Lease, SessionBackend } from "@aixgo/session/backend";
import { append, checkTtl } from "./append.ts";
import { createAppendLanes } from "./append-lanes.ts";
import { listSessions } from "./catalog.ts";
import { columnText, mark, textOfColumn, whole } from "./column-text.ts";
import { createBlobs } from "./blobs.ts";
import { createClaims } from "./claims.ts";
import { createConnections } from "./connection.ts";
import { createSession } from "./creation.ts";
import { createListener } from "./listener.ts";
import { prepareStore } from "./migrate.ts";
import { createNotifier } from "./notifier.ts";
import { type PostgresBackendOptions, resolveOptions } from "./options.ts";
import { readPages } from "./reading.ts";
import { deleteSession, rewriteSession } from "./removal.ts";
import { statementsOf } from "./statements.ts";
import { createWatchers } from "./watchers.ts";
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
  const { schema, commandTimeoutMs, capabilities, listen } = resolved;
  const connections = createConnections(resolved);
  const store: Store = { connections, statements: statementsOf(schema), options: resolved, lockMs: Math.floor(commandTimeoutMs * 0.8) };
  const lanes = createAppendLanes(store);
  const claims = createClaims(store);
  const watchers = createWatchers(store);
  const channel = `aixgo_${schema}`;
  const notifier = listen === undefined ? undefined : createNotifier(store, channel);
  const listener =
    listen === undefined
      ? undefined
      : createListener(listen, channel, commandTimeoutMs, {
          state: (isListening) => watchers.setTold(isListening),
          name: (name) => watchers.told(name),
        });
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

  /** After a session was changed by this process. */
  function changed(id: string): void {
    watchers.tell(id);
    notifier?.tell(id);
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
      const answer = await call(`append to session ${ref.id}`, () => append(store, lanes, claims, ref, request));
      if ("head" in answer) changed(ref.id);
      return answer;
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
      const answer = await call(`rewrite session ${ref.id}`, () => rewriteSession(store, ref, request));
      if ("head" in answer) changed(ref.id);
      return answer;
    },
    // Nothing is left to erase besides: wrapped keys lie in the row, and blobs go with it.
    async delete(ref) {
      await call(`delete session ${ref.id}`, () => deleteSession(store, ref));
      changed(ref.id);
    },
    async *watch(ref, after, signal) {
      if (signal.aborted) return;
      const doing = `watch session ${ref.id}`;
      listener?.start();
      yield* watchers.hear(ref, after, signal, () => call(doing, () => currentHead(store, doing, ref)));
    },
    blobs: createBlobs(store, call),
    close() {
      return (closing ??= (async () => {
        watchers.close();
        await Promise.allSettled(running);
        await Promise.all([claims.end(), notifier?.end(), listener?.close()]);
        await connections.end();
      })());
    },
  };
}
