import { AixgoError, isAixgoError } from "@aixgo/core";
import type { Ref } from "@aixgo/session/backend";
import { type Answer, type Call, closedError, type Connection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import type { ResolvedOptions } from "./options.ts";
import { scripts, type Telling } from "./scripts.ts";
import type { ServerCheck } from "./server-check.ts";

/** A script that is to be run; one that tells of its work does so as the server allows. */
type Request = Omit<Call, "writes" | "script"> & { readonly script: Call["script"] | Telling };

/** What the parts of the backend share. */
export interface Store {
  readonly options: ResolvedOptions;
  readonly keys: Keys;
  readonly isCluster: boolean;
  /** Throws `BACKEND_CLOSED`. */
  open(operation: string): void;
  /** Runs a script that changes nothing whose loss would matter. */
  read(call: Omit<Call, "writes">): Promise<unknown>;
  /** Runs a script whose work is to be as durable as the backend declares. */
  write(call: Request): Promise<Answer>;
  close(): Promise<void>;
}

export function createStore(options: ResolvedOptions, keys: Keys, connection: Connection, check: ServerCheck): Store {
  let closed = false;

  function open(operation: string): void {
    if (closed) throw closedError(operation);
  }

  /** A closed connection fails what is under way: then that is the reason. */
  function explain(error: unknown, operation: string): never {
    throw closed && isAixgoError(error, "BACKEND_UNAVAILABLE") ? closedError(operation) : error;
  }

  function send(call: Call): Promise<Answer> {
    return call.writes && options.durability === "quorum" ? connection.confirm(call, check.replicas) : connection.run(call);
  }

  /** How changes are told is known when the server has been looked at. */
  function voiced(request: Request, writes: boolean): Call {
    const { operation, keys: names, args, script } = request;
    const one = "sha" in script ? script : script[check.voice];
    // Member by member: a spread costs more.
    return args === undefined ? { operation, writes, script: one, keys: names } : { operation, writes, script: one, keys: names, args };
  }

  async function sendChecked(request: Request, writes: boolean): Promise<Answer> {
    await check.ready(request.operation);
    if (writes) await check.writable(request.operation);
    return send(voiced(request, writes));
  }

  function run(call: Request, writes: boolean): Promise<Answer> {
    if (closed) return Promise.reject(closedError(call.operation));
    return (check.isDone ? send(voiced(call, writes)) : sendChecked(call, writes)).catch((error: unknown) =>
      explain(error, call.operation),
    );
  }

  return {
    options,
    keys,
    isCluster: connection.isCluster,
    open,
    read: async (call) => (await run(call, false)).reply,
    write: (call) => run(call, true),
    async close() {
      if (closed) return;
      closed = true;
      await connection.close();
    },
  };
}

/** The reply of a script of a session: a list whose first member says what became of it. */
export type Reply = readonly [status: number, ...rest: unknown[]];

export const STATUS = {
  conflict: 0,
  done: 1,
  looked: 2,
  missing: -1,
  deleted: -2,
  otherLife: -3,
  damaged: -4,
  fenced: -5,
  notWhole: -6,
} as const;

/** Throws what a status below zero means. */
export function accept(operation: string, ref: Pick<Ref, "id">, reply: unknown): Reply {
  const answer = reply as Reply;
  const [status, detail] = answer;
  if (status >= 0) return answer;
  const { id } = ref;
  switch (status) {
    case STATUS.missing:
      throw new AixgoError("SESSION_NOT_FOUND", `${operation}: there is no such session`, { details: { session: id } });
    case STATUS.deleted:
      throw new AixgoError("SESSION_DELETED", `${operation}: it has been deleted`, { details: { session: id } });
    case STATUS.otherLife:
      throw new AixgoError("INCARNATION_CHANGED", `${operation}: it has been rewritten since it was opened; open it again`, {
        details: { session: id },
      });
    case STATUS.damaged:
      throw damaged(operation, id, String(detail));
    case STATUS.fenced:
      throw new AixgoError("FENCED", `${operation}: the lease has been released or taken over`, { details: { session: id } });
    default:
      throw new AixgoError("BACKEND_UNAVAILABLE", `${operation}: what was gathered for it has expired; nothing was written. Try again`);
  }
}

const DAMAGE: Readonly<Record<string, string>> = {
  head: "its key head is gone or holds something else",
  lines: "its key lines holds another number of entries than its head says",
  marks: "its key marks is gone",
  list: "a set that lists sessions (its prefix, then list:) holds a value of another type",
};
const BLOB_ROLE = "blobs:";

function damaged(operation: string, id: string, role: string): AixgoError {
  return new AixgoError(
    "ENTRY_CORRUPT",
    `${operation}: ${DAMAGE[role] ?? (role.startsWith(BLOB_ROLE) ? `its key ${role} has lost chunks of that attachment` : "it is damaged")}. Something removed or changed it, such as an eviction policy`,
    { details: { session: id, key: role } },
  );
}

/** Runs the work of one session, on one of its attachments if a digest is given; a key of another type is named. */
export function namingDamage<T>(store: Store, operation: string, id: string, work: Promise<T>, digest?: string): Promise<T> {
  return work.catch(async (error: unknown): Promise<never> => {
    if (!isAixgoError(error, "ENTRY_CORRUPT") || error.details !== undefined) throw error;
    const { head, lines, marks, blobs } = store.keys.session(id);
    const keys = [head, lines, marks, blobs, ...(digest === undefined ? [] : [store.keys.blob(id, digest)])];
    const args = ["head", "lines", "marks", "blobs", BLOB_ROLE + (digest ?? "")];
    const roles = (await store.read({ operation, script: scripts.diagnose, keys, args })) as readonly Buffer[];
    const [role = "head"] = roles.map(String);
    throw new AixgoError("ENTRY_CORRUPT", `${operation}: its key ${role} holds a value of another type; something else wrote it`, {
      cause: error.cause,
      details: { session: id, key: role },
    });
  });
}
