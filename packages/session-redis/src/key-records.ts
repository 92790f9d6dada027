import { isSessionId } from "@aixgo/security";
import type { SessionInfo } from "@aixgo/session/backend";
import { type StoredHead, TOMBSTONE, unpackHead } from "./packed-head.ts";
import { scripts } from "./scripts.ts";
import { STATUS, type Store } from "./store.ts";

const MAX_PROLONGED = 4096;

/**
 * The record of a unique key is a text in a slot of its own:
 *
 *     pending <id>         a create has chosen this id; until its log is there nobody has the key, and the next caller completes it
 *     done <id>            that session has the key
 *     moving <old> <new>   the key goes over to <new> at the moment in which its log is there
 *
 * A record is believed only together with the session that it names. It is never taken away from a create under way: two
 * could then choose two ids.
 */
type KeyRecord =
  | { readonly state: "pending" | "done"; readonly id: string }
  | { readonly state: "moving"; readonly from: string; readonly id: string };

/** Who has a key. `promised`: nobody, but a create has chosen this id. */
export type Holder = { readonly live: StoredHead } | { readonly promised: string } | undefined;

type Place = Pick<SessionInfo, "agentName" | "tenantId" | "key">;

export interface KeyRecords {
  /** Writes the record if there is none, and answers with what stands there then. */
  claim(operation: string, record: string, text: string): Promise<string>;
  /** Changes the record if it still is as expected; an empty text expects nothing, an empty value removes. */
  settle(operation: string, record: string, expected: string, text: string): Promise<boolean>;
  /** What a record of this place means now. */
  holderOf(operation: string, place: Place, text: string): Promise<Holder>;
  /** Whether that session is one of this place. */
  hasKey(operation: string, place: Place, id: string): Promise<boolean>;
  /** The head of a session, without a look at the rest of it. */
  peek(operation: string, id: string): Promise<StoredHead | "deleted" | undefined>;
  /** Frees a key that still names this session, whose tombstone is there. */
  release(operation: string, info: SessionInfo): Promise<void>;
  /** Keeps the record of a session that expires longer than the session. Never throws. */
  prolong(info: SessionInfo): Promise<void>;
}

export function createKeyRecords(store: Store): KeyRecords {
  const { ttlMs } = store.options;
  /** Twice as long as the session: a prolongation that fails does no harm before the next one. */
  const keptMs = String(ttlMs * 2);
  /** When the records of these sessions were prolonged, by this process. The oldest first. */
  const prolonged = new Map<string, number>();

  const records: KeyRecords = {
    async claim(operation, record, text) {
      const { reply } = await store.write({ operation, script: scripts.claim, keys: [record], args: [text, keptMs] });
      const [status, there] = reply as readonly [number, Buffer?];
      return status === STATUS.done ? text : String(there);
    },

    async settle(operation, record, expected, text) {
      const { reply, resent } = await store.write({ operation, script: scripts.swap, keys: [record], args: [expected, text, keptMs] });
      const [status, there] = reply as readonly [number, Buffer | null | undefined];
      // Sent again after a broken connection, it finds its own work.
      return status === STATUS.done || (resent && String(there) === text);
    },

    async holderOf(operation, place, text) {
      const record = parse(text);
      if (record === undefined) return undefined;
      const there = await records.peek(operation, record.id);
      if (typeof there === "object" && belongs(there, place)) return { live: there };
      if (record.state === "moving") {
        const before = await records.peek(operation, record.from);
        return typeof before === "object" && belongs(before, place) ? { live: before } : undefined;
      }
      return record.state === "pending" && there === undefined ? { promised: record.id } : undefined;
    },

    async hasKey(operation, place, id) {
      const there = await records.peek(operation, id);
      return typeof there === "object" && belongs(there, place);
    },

    async peek(operation, id) {
      const [packed] = (await store.read({
        operation,
        script: scripts.peek,
        keys: [store.keys.session(id).head],
      })) as readonly (Buffer | null)[];
      if (packed === null || packed === undefined) return undefined;
      return packed.toString("latin1", 0, 1) === TOMBSTONE ? "deleted" : unpackHead(id, packed);
    },

    async release(operation, info) {
      const record = store.keys.record(info);
      if (record === undefined) return;
      for (const state of ["done", "pending"]) {
        if (await records.settle(operation, record, `${state} ${info.id}`, "")) return;
      }
    },

    async prolong(info) {
      const record = ttlMs === 0 ? undefined : store.keys.record(info);
      if (record === undefined) return;
      const now = performance.now();
      const last = prolonged.get(info.id);
      if (last !== undefined && now - last < ttlMs / 4) return;
      prolonged.delete(info.id);
      prolonged.set(info.id, now);
      if (prolonged.size > MAX_PROLONGED) {
        const [oldest] = prolonged.keys();
        if (oldest !== undefined) prolonged.delete(oldest);
      }
      const args = [`done ${info.id}`, keptMs];
      await store
        .read({ operation: `append to session ${info.id}`, script: scripts.prolong, keys: [record], args })
        .catch(() => prolonged.delete(info.id));
    },
  };
  return records;
}

function belongs({ fold: { info } }: StoredHead, { agentName, tenantId, key }: Place): boolean {
  return info.agentName === agentName && info.tenantId === tenantId && info.key === key;
}

function parse(text: string): KeyRecord | undefined {
  const [state, first, second] = text.split(" ");
  if (state === "moving" && isSessionId(first) && isSessionId(second)) return { state, from: first, id: second };
  return (state === "pending" || state === "done") && isSessionId(first) ? { state, id: first } : undefined;
}
