import type { SessionInfo } from "@aixgo/session/backend";
import type { Scope } from "./keys.ts";
import { scripts } from "./scripts.ts";
import type { Store } from "./store.ts";

/** One create in so many looks for sessions that have expired, and then at so many per scope: more than are made meanwhile. */
const CREATES_PER_SWEEP = 16;
const SWEPT_PER_SCOPE = 48;

/**
 * Which sessions there are, in sets by scope. On a single server they change in the script that changes the session. In a
 * Cluster they lie in other slots and may lag for a moment or miss a change: whatever is listed is compared with the
 * session's head, and put right.
 */
export interface Catalog {
  /** The sets that are ordered by update. */
  updatedSets(info: SessionInfo): readonly string[];
  /** All sets, in pairs: by update, by id. */
  pairs(info: SessionInfo): readonly string[];
  /** Lists a session that is about to be made, or has been made. */
  enter(info: SessionInfo): Promise<void>;
  /** Tells of a newer update. Never throws: `list` finds out. */
  raise(info: SessionInfo): Promise<void>;
  /** Moves a session to the scopes of its new metadata, and to the place of its new head. */
  move(before: SessionInfo, after: SessionInfo): Promise<void>;
  /** Takes a session out of all scopes. */
  leave(info: SessionInfo): Promise<void>;
  /** Takes an id out of one scope; with a score, only if it stands there with it. Never throws. */
  forget(scope: Scope, id: string, score: number | undefined): Promise<void>;
  /** Puts a score right, unless it has changed meanwhile. Never throws. */
  rescore(scope: Scope, id: string, seen: number, score: number): Promise<void>;
  /** Now and then: removes the oldest of what has expired. Never throws. */
  sweep(info: SessionInfo): Promise<void>;
}

/** The place of a session in the order of updates: milliseconds since 1970. */
export function scoreOf({ updatedAt }: Pick<SessionInfo, "updatedAt">): number {
  const score = Date.parse(updatedAt);
  return Number.isNaN(score) ? 0 : score;
}

export function createCatalog(store: Store): Catalog {
  const { keys, isCluster, options } = store;
  const spanMs = String(options.ttlMs * 2);
  /** By the metadata of the session, which only an entry of that type replaces; all else that scopes depend on never changes. */
  const known = new WeakMap<object, readonly Scope[]>();
  let creates = 0;

  function scopesOf(info: SessionInfo): readonly Scope[] {
    let scopes = known.get(info.metadata);
    if (scopes === undefined) {
      scopes = keys.scopes(info);
      known.set(info.metadata, scopes);
    }
    return scopes;
  }

  /** One script for all on a single server, one for each in a Cluster. */
  async function on(scopes: readonly Scope[], work: (keys: readonly string[]) => Promise<unknown>): Promise<void> {
    if (scopes.length === 0) return;
    const pairs = scopes.map(({ updated, ids }) => [updated, ids]);
    if (isCluster) await Promise.all(pairs.map(work));
    else await work(pairs.flat());
  }

  function put(operation: string, scopes: readonly Scope[], info: SessionInfo, mode: "set" | "raise"): Promise<void> {
    const args = [String(scoreOf(info)), info.id, spanMs, mode];
    return on(scopes, (sets) => store.read({ operation, script: scripts.enter, keys: sets, args }));
  }

  function remove(operation: string, scopes: readonly Scope[], id: string, score: number | undefined): Promise<void> {
    const args = [id, score === undefined ? "" : String(score)];
    return on(scopes, (sets) => store.read({ operation, script: scripts.leave, keys: sets, args }));
  }

  /** A lagging set is no reason to fail what has been done. */
  const ignore = (): undefined => undefined;

  return {
    updatedSets: (info) => scopesOf(info).map(({ updated }) => updated),
    pairs: (info) => scopesOf(info).flatMap(({ updated, ids }) => [updated, ids]),
    enter: (info) => put(`create session ${info.id}`, scopesOf(info), info, "set"),
    raise: (info) => put(`append to session ${info.id}`, scopesOf(info), info, "raise").catch(ignore),

    async move(before, after) {
      const operation = `list session ${after.id}`;
      const now = scopesOf(after);
      const gone = scopesOf(before).filter(({ updated }) => !now.some((scope) => scope.updated === updated));
      const mode = scoreOf(after) < scoreOf(before) ? "set" : "raise";
      await Promise.all([put(operation, now, after, mode), remove(operation, gone, after.id, undefined)]).catch(ignore);
    },

    leave: (info) => remove(`delete session ${info.id}`, scopesOf(info), info.id, undefined).catch(ignore),
    forget: (scope, id, score) => remove(`list session ${id}`, [scope], id, score).catch(ignore),
    rescore: (scope, id, seen, score) =>
      store
        .read({ operation: `list session ${id}`, script: scripts.rescore, keys: [scope.updated], args: [id, String(seen), String(score)] })
        .then(ignore, ignore),

    async sweep(info) {
      creates += 1;
      if (options.ttlMs === 0 || creates % CREATES_PER_SWEEP !== 0) return;
      const operation = `create session ${info.id}`;
      const remains = async (scope: Scope): Promise<void> => {
        const reply = (await store.read({
          operation,
          script: scripts.oldest,
          keys: [scope.updated],
          args: [String(SWEPT_PER_SCOPE)],
        })) as readonly Buffer[];
        const ids = reply.map(String);
        const heads = await peekAll(store, operation, ids);
        for (const [i, id] of ids.entries()) if (heads[i] === undefined) await remove(operation, [scope], id, undefined);
      };
      for (const scope of scopesOf(info)) await remains(scope).catch(ignore);
    },
  };
}

/** Packed heads as they stand, a tombstone included; undefined: there is none. */
export async function peekAll(store: Store, operation: string, ids: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
  const keys = ids.map((id) => store.keys.session(id).head);
  if (keys.length === 0) return [];
  const peek = async (some: readonly string[]): Promise<readonly (Buffer | undefined)[]> => {
    const reply = (await store.read({ operation, script: scripts.peek, keys: some })) as readonly (Buffer | null)[];
    return reply.map((packed) => packed ?? undefined);
  };
  return store.isCluster ? (await Promise.all(keys.map((key) => peek([key])))).flat() : peek(keys);
}
