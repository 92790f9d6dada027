import { fstatSync, lstatSync } from "node:fs";
import { AixgoError, isAixgoError } from "@aixgo/core";
import type { CreateRequest, Head } from "@aixgo/session/backend";
import type { Catalog } from "./catalog.ts";
import { stageBlobs } from "./fork-blobs.ts";
import { allSynced, removeFile, syncFile, syncFolder } from "./durable.ts";
import { storeError } from "./fs-errors.ts";
import type { Journal } from "./journal.ts";
import type { Keys } from "./keys.ts";
import { folderOf, keyFileOf, makePrivateFolder, type Layout } from "./layout.ts";
import { OpenLog } from "./open-log.ts";
import { deleted, type OpenLogs } from "./open-logs.ts";
import type { BegunNote, SessionIndex } from "./session-index.ts";
import { stage, type Staged } from "./staging.ts";
import type { Stripes } from "./stripes.ts";
import type { Tombstones } from "./tombstones.ts";
import { removeWrapped } from "./wrapped-keys.ts";

const MAX_ATTEMPTS = 50;

interface Store {
  readonly layout: Layout;
  readonly stripes: Stripes;
  readonly index: SessionIndex;
  readonly tombstones: Tombstones;
  readonly logs: OpenLogs;
  readonly journal: Journal;
  readonly keys: Keys;
  readonly catalog: Catalog;
  readonly durable: boolean;
  readonly maxLineBytes: number;
}

type Created = { readonly head: Head; readonly created: boolean };

/**
 * Creates sessions, all or nothing: the log is written whole without a name and gets its name inside the session's lock.
 * With a key: first the lines are drawn (whatever fails then leaves nothing), then the key record names the id, then the
 * log gets its name. A record whose session has neither log nor tombstone is an unfinished create, which the next caller completes.
 */
export function createCreation(store: Store): (request: CreateRequest) => Promise<Created> {
  const { layout, stripes, index, tombstones, logs, keys, catalog, durable } = store;
  /** Creators of one key in this process take turns: the others then find the session instead of drawing lines for nothing. */
  const creating = new Map<string, Promise<unknown>>();

  const doing = (id: string): string => `create session ${id}`;

  async function draw(request: CreateRequest, id: string): Promise<Staged> {
    const { agentName } = request.info;
    const staged = await stage(layout, { id, agentName }, request.lines(id), {
      durable,
      maxLineBytes: store.maxLineBytes,
      doing: doing(id),
    });
    if (request.blobs === undefined) return staged;
    try {
      const blobs = await stageBlobs(store, request);
      return blobs === undefined ? staged : { ...staged, blobs };
    } catch (error) {
      staged.draft.discard();
      throw error;
    }
  }

  /** Undefined: a session with this id exists. */
  async function publish(staged: Staged, id: string, folder: string): Promise<Head | undefined> {
    const agentFolder = layout.agentFolder(folder);
    const made: string[] = [];
    makePrivateFolder(agentFolder, `${layout.shown}/${folder}`, made);
    const path = layout.log(folder, id);
    let noted: BegunNote | undefined;
    const log = await stripes.hold(stripes.of(id), doing(id), () => {
      if (tombstones.read(id) !== undefined) throw deleted(id);
      const place = placeOf(id, folder);
      if (place.isTaken) return undefined;
      if (place.empty !== undefined) removeFile(place.empty);
      // Of an earlier session with this id, deleted so long ago that its tombstone is gone.
      removeWrapped(layout, id, durable);
      if (durable) noted = index.begin(id, folder);
      else index.note(id, folder, true);
      try {
        catalog.doubt(id, folder);
        staged.blobs?.publish(folder, id);
        staged.draft.publish(path, true);
        const { fd } = staged.draft;
        const beside = { sidecarAt: 0, keys: undefined };
        const opened = new OpenLog(layout, stripes, id, folder, { fd, stat: fstatSync(fd) }, staged.state, beside);
        catalog.put(staged.state.head);
        return opened;
      } catch (error) {
        noted?.end();
        throw error;
      }
    });
    if (log === undefined) return undefined;
    log.users++;
    logs.adopt(log);
    try {
      if (durable) {
        // At once: they wait for one commit of the file system, not for one each.
        await allSynced(
          ...(staged.synced ? [] : [syncFile(staged.draft.fd)]),
          syncFolder(agentFolder),
          ...(made.length > 0 ? [syncFolder(layout.baseDir)] : []),
        );
        noted?.settle();
      }
      return staged.state.head;
    } catch (cause) {
      // Whoever uses it next opens it anew, and makes its name durable first.
      log.distrusted = true;
      throw new AixgoError(
        "OUTCOME_UNKNOWN",
        `${doing(id)}: the disk did not confirm it. Look whether the session exists before creating it again`,
        { cause: storeError(cause, doing(id)) },
      );
    } finally {
      noted?.end();
      logs.release(log);
    }
  }

  async function withoutKey(request: CreateRequest): Promise<Created> {
    const { id } = request.ref;
    const folder = folderOf(request.info.agentName);
    // Whether the id is free is looked at once, under the lock.
    const staged = await draw(request, id);
    try {
      const head = await publish(staged, id, folder);
      if (head === undefined) throw exists(id);
      return { head, created: true };
    } finally {
      staged.draft.discard();
      staged.blobs?.discard();
    }
  }

  async function withKey(request: CreateRequest, keyFile: string): Promise<Created> {
    const folder = folderOf(request.info.agentName);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const holder = keys.holder(keyFile);
      const isLive = holder !== undefined && logs.exists(holder) && (await isThere(holder));
      // One that takes the key may find that its own create was completed by another: it has what it wanted.
      if (isLive && (request.onKey !== "take" || holder === request.ref.id)) {
        if (request.onKey === undefined) throw keyTaken(request, holder);
        const head = await store.journal.head(holder).catch((error: unknown) => gone(error));
        if (head === undefined) continue;
        return { head, created: false };
      }
      const unfinished = holder !== undefined && !isLive && request.onKey !== "take" && tombstones.read(holder) === undefined;
      const id = unfinished ? holder : request.ref.id;
      if (!unfinished) assertNew(id, folder);
      const staged = await draw(request, id);
      try {
        if (unfinished) await keys.settle(keyFile);
        else if (!(await keys.set(keyFile, holder, id))) continue;
        const head = await publish(staged, id, folder).catch(async (error: unknown) => {
          // Nothing was created: the key goes back to whoever had it.
          if (!unfinished && !isAixgoError(error, "OUTCOME_UNKNOWN")) await restore(keyFile, id, isLive ? holder : undefined);
          throw error;
        });
        if (head !== undefined) return { head, created: true };
        // Somebody else completed it.
      } finally {
        staged.draft.discard();
        staged.blobs?.discard();
      }
    }
    throw new AixgoError("STORE_BUSY", `${doing(request.ref.id)}: its key changes hands faster than it can be read; nothing was written`);
  }

  async function restore(keyFile: string, from: string, to: string | undefined): Promise<void> {
    if (to === undefined) await keys.remove(keyFile, from);
    else await keys.set(keyFile, from, to);
  }

  async function isThere(id: string): Promise<boolean> {
    // A damaged log still has its key.
    return (
      (await store.journal.head(id).catch((error: unknown) => (isAixgoError(error, "ENTRY_CORRUPT") ? error : gone(error)))) !== undefined
    );
  }

  function assertNew(id: string, folder: string): void {
    if (tombstones.read(id) !== undefined) throw deleted(id);
    if (placeOf(id, folder).isTaken) throw exists(id);
  }

  /** Whether a log has this id; or the path of an empty one, which only a power cut leaves: its name was kept, its bytes were not. */
  function placeOf(
    id: string,
    folder: string,
  ): { readonly isTaken: true } | { readonly isTaken: false; readonly empty: string | undefined } {
    let empty: string | undefined;
    for (const path of new Set([layout.log(folder, id), layout.log(index.listed(id)?.folder ?? folder, id)])) {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (stat.size !== 0 || !stat.isFile()) return { isTaken: true };
      empty = path;
    }
    return { isTaken: false, empty };
  }

  return async (request) => {
    const { tenantId, agentName, key } = request.info;
    if (key === undefined) return withoutKey(request);
    const keyFile = keyFileOf(tenantId, agentName, key);
    const before = creating.get(keyFile) ?? Promise.resolve();
    const mine = before.then(
      () => withKey(request, keyFile),
      () => withKey(request, keyFile),
    );
    creating.set(keyFile, mine);
    try {
      return await mine;
    } finally {
      if (creating.get(keyFile) === mine) creating.delete(keyFile);
    }
  };
}

/** Deleted, or not there yet: undefined. Any other failure is the caller's. */
function gone(error: unknown): undefined {
  if (isAixgoError(error, "SESSION_NOT_FOUND") || isAixgoError(error, "SESSION_DELETED")) return undefined;
  throw error;
}

function exists(id: string): AixgoError {
  return new AixgoError("KEY_EXISTS", `session ${id} exists already`, { details: { session: id } });
}

function keyTaken(request: CreateRequest, holder: string): AixgoError {
  return new AixgoError(
    "KEY_EXISTS",
    `create session ${request.ref.id}: agent ${request.info.agentName} has a session with this key already. Use onKey: "get" or "take"`,
    { details: { session: holder } },
  );
}
