import { AixgoError } from "@aixgo/core";
import { isSessionId } from "@aixgo/security";
import type { BlobStore, CreateRequest, Head, Ref } from "@aixgo/session/backend";
import { type Catalog, scoreOf } from "./catalog.ts";
import { forkBlobs } from "./forked-blobs.ts";
import { gather } from "./gathering.ts";
import type { Heads } from "./heads.ts";
import type { KeyRecords } from "./key-records.ts";
import { fresh, headOf, unpackHead } from "./packed-head.ts";
import { scripts } from "./scripts.ts";
import { accept, STATUS, type Store } from "./store.ts";

/** Rounds in which another was faster each time. */
const ATTEMPTS = 50;

type Created = { readonly head: Head; readonly created: boolean };

export async function create(
  store: Store,
  heads: Heads,
  catalog: Catalog,
  records: KeyRecords,
  blobs: BlobStore,
  request: CreateRequest,
): Promise<Created> {
  const { ref, info, onKey } = request;
  const operation = `create session ${ref.id}`;
  store.open(operation);
  if (!isSessionId(ref.id)) throw new AixgoError("INVALID_INPUT", "create session: its id is not 32 hexadecimal digits in lower case");
  const slot = store.keys.record(info);
  if (slot === undefined) return made(await log(ref), ref);

  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const pending = `pending ${ref.id}`;
    const text = await records.claim(operation, slot, pending);
    const holder = text === pending ? { promised: ref.id } : await records.holderOf(operation, info, text);
    if (holder !== undefined && "live" in holder) {
      if (onKey === "get") return { head: (await heads.load(operation, holder.live.fold.id)).head, created: false };
      if (onKey === undefined) throw keyExists(holder.live.fold.id);
      const taken = await take(slot, text, holder.live.fold.id);
      if (taken !== undefined) return taken;
    } else if (holder !== undefined) {
      const chosen = { ...ref, id: holder.promised };
      const outcome = await log(chosen);
      if (typeof outcome === "object") {
        await records.settle(operation, slot, `pending ${chosen.id}`, `done ${chosen.id}`);
        return made(outcome, chosen);
      }
      // Of a session that has nothing to do with the key, or of one that is gone: the record is no use to anybody.
      if (outcome === "deleted" && chosen.id === ref.id) throw deleted();
      if (outcome === "exists" && chosen.id === ref.id && !(await records.hasKey(operation, info, ref.id))) throw idExists();
    } else {
      // The record names a session that is gone. Whoever is first replaces it.
      await records.settle(operation, slot, text, pending);
    }
  }
  throw new AixgoError("STORE_BUSY", `${operation}: others changed its key ${ATTEMPTS} times meanwhile. Try again`);

  /** The log, in one step. `exists` and `deleted` say why there is none of this call. */
  async function log(target: Ref): Promise<Head | "exists" | "deleted"> {
    const gathered = await gather(store, operation, target, request.lines(target.id), { always: false });
    const forked = await forkBlobs(store, blobs, operation, target.id, request).catch(async (error: unknown): Promise<never> => {
      await gathered.drop();
      throw error;
    });
    const session = store.keys.session(target.id);
    const sets = store.isCluster ? [] : catalog.pairs(gathered.head.info);
    const stored = fresh(gathered.head);
    const args = [
      stored.packed,
      String(gathered.head.seq + 1),
      String(store.options.ttlMs),
      String(scoreOf(gathered.head.info)),
      target.id,
      gathered.isStored ? "1" : "",
      String(forked.digests.length),
      String(gathered.marks.length),
      ...forked.digests.flatMap((digest, i) => [digest, String(forked.staged[i]?.chunks), String(forked.staged[i]?.bytes)]),
      ...gathered.marks,
      ...gathered.lines,
    ];
    try {
      // In a Cluster the sets are told before and after: whichever of both is lost, the session is listed.
      if (store.isCluster) await catalog.enter(gathered.head.info);
      const { reply, resent } = await store.write({
        operation,
        script: scripts.create,
        keys: [
          session.head,
          session.lines,
          session.marks,
          gathered.keys.lines,
          gathered.keys.marks,
          session.blobs,
          ...forked.staged.map(({ key }) => key),
          ...sets,
        ],
        args,
      });
      if ((reply as readonly number[])[0] === STATUS.deleted) return "deleted";
      const [status, packed] = accept(operation, target, reply);
      if (status === 0) {
        const there = unpackHead(target.id, packed as Buffer);
        // The client sent it again after a broken connection: this log is its own work.
        if (!resent || there.fold.incarnation !== target.incarnation) return "exists";
      }
      if (store.isCluster) await catalog.enter(gathered.head.info);
    } finally {
      await gathered.drop();
      await forked.drop();
    }
    heads.keep(stored);
    await catalog.sweep(gathered.head.info);
    return headOf(stored, 0);
  }

  function made(outcome: Head | "exists" | "deleted", { id }: Ref): Created {
    if (outcome === "exists") throw id === ref.id ? idExists() : keyExists(id);
    if (outcome === "deleted") throw deleted();
    return { head: outcome, created: true };
  }

  /** The key moves when the new log is there, not before: a create that fails takes it from nobody. Undefined: the record has changed. */
  async function take(record: string, text: string, from: string): Promise<Created | undefined> {
    const there = await records.peek(operation, ref.id);
    if (there === "deleted") throw deleted();
    if (there !== undefined) throw idExists();
    if (!(await records.settle(operation, record, text, `moving ${from} ${ref.id}`))) return undefined;
    const created = made(await log(ref), ref);
    await records.settle(operation, record, "", `done ${ref.id}`);
    return created;
  }

  function keyExists(holder: string): AixgoError {
    return new AixgoError("KEY_EXISTS", `${operation}: session ${holder} of agent ${info.agentName} has this key already`, {
      details: { session: holder },
    });
  }

  function idExists(): AixgoError {
    return new AixgoError("KEY_EXISTS", `${operation}: a session with this id exists already`, { details: { session: ref.id } });
  }

  function deleted(): AixgoError {
    return new AixgoError("SESSION_DELETED", `${operation}: it has been deleted`, { details: { session: ref.id } });
  }
}
