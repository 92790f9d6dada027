import { AixgoError } from "@aixgo/core";
import type { CreateRequest, Head, SessionBackend } from "@aixgo/session/backend";
import { type Break, type Flaw, type Mutant, mutant, tick } from "./mutant.ts";

const UNIQUE = "unique keys (tenant, agent, key)";
const ONE = "with a key: concurrent creators get one session";
const UNFINISHED = "an unfinished create is completed by the next caller";
const TAKE = "take: the key moves to the new one";
const FREED = "delete: tombstone first, then the key if it still names this id";

interface Keys {
  /** Where a key record lies. */
  readonly slot?: (info: CreateRequest["info"]) => string | undefined;
  /** A creator looks, and only later writes. */
  readonly hasty?: boolean;
  /** What `take` does instead. */
  readonly take?: "gets" | "keeps" | "loses" | "swaps";
  /** When a delete frees the key. */
  readonly frees?: "never" | "always" | "once more";
  /** A create that fails leaves its key to a session that is not there. */
  readonly blocks?: boolean;
  /** Each node has keys of its own. */
  readonly own?: boolean;
  readonly lostByRewrite?: boolean;
}

function slotOf({ tenantId, agentName, key }: CreateRequest["info"]): string | undefined {
  return key === undefined ? undefined : JSON.stringify([tenantId ?? null, agentName, key]);
}

/** A key protocol of its own over a store that knows no keys: right but for what `flaws` says. */
function keyed(flaws: Keys): Break {
  return (real) => {
    const shared = new Map<string, string>();
    const turns = new Map<string, Promise<unknown>>();
    const deleted = new Map<string, CreateRequest["info"]>();
    return () => nodeWithKeys(real, flaws.own === true ? new Map() : shared, turns, deleted, flaws);
  };
}

function nodeWithKeys(
  real: SessionBackend,
  keys: Map<string, string>,
  turns: Map<string, Promise<unknown>>,
  deleted: Map<string, CreateRequest["info"]>,
  flaws: Keys,
): Flaw {
  const { slot: slotFor = slotOf, hasty = false, take, frees, blocks = false } = flaws;

  async function create(request: CreateRequest, slot: string): Promise<{ readonly head: Head; readonly created: boolean }> {
    const { key: _, ...info } = request.info;
    const { onKey, ...rest } = request;
    const holder = keys.get(slot);
    if (holder !== undefined && (onKey === "get" || (onKey === "take" && take === "gets")))
      return { head: await real.head(holder), created: false };
    if (holder !== undefined && onKey === undefined) throw new AixgoError("KEY_EXISTS", "the key is taken");
    if (blocks) keys.set(slot, request.ref.id);
    if (hasty) await tick();
    const answer = await real.create({ ...rest, info });
    if (onKey === "take" && take === "loses") keys.delete(slot);
    else if (onKey === "take" && take === "swaps" && keys.get(slot) !== holder) return answer;
    else if (holder === undefined || take !== "keeps") keys.set(slot, request.ref.id);
    return answer;
  }

  return {
    async create(request) {
      const slot = slotFor(request.info);
      if (slot === undefined) return real.create(request);
      if (hasty) return create(request, slot);
      const before = turns.get(slot) ?? Promise.resolve();
      const mine = before.then(() => create(request, slot));
      turns.set(
        slot,
        mine.catch(() => undefined),
      );
      return mine;
    },
    async delete(ref, options) {
      const info = await real.head(ref.id).then(
        (head) => head.info,
        () => undefined,
      );
      await real.delete(ref, options);
      if (info !== undefined) deleted.set(ref.id, info);
      const known = deleted.get(ref.id);
      const slot = known === undefined ? undefined : slotFor(known);
      if (slot === undefined || frees === "never") return;
      if (keys.get(slot) === ref.id || frees === "always" || (frees === "once more" && info === undefined)) keys.delete(slot);
    },
    async rewrite(ref, request) {
      const answer = await real.rewrite(ref, request);
      const slot = slotFor((await real.head(ref.id)).info);
      if ("head" in answer && slot !== undefined && flaws.lostByRewrite === true) keys.delete(slot);
      return answer;
    },
  };
}

export const keyMutants: readonly Mutant[] = [
  mutant("looks for a key and writes it later", ONE, ["keys/race", "keys/race-for-new", "keys/unfinished-race"], keyed({ hasty: true })),
  mutant("has keys per node", UNIQUE, ["keys/taken", "keys/get", "keys/race", "keys/take-race"], keyed({ own: true })),
  mutant(
    "has keys per agent, not per tenant",
    UNIQUE,
    ["keys/scope"],
    keyed({ slot: ({ agentName, key }) => key && JSON.stringify([agentName, key]) }),
  ),
  mutant(
    "has keys per tenant, not per agent",
    UNIQUE,
    ["keys/scope"],
    keyed({ slot: ({ tenantId, key }) => key && JSON.stringify([tenantId ?? null, key]) }),
  ),
  mutant(
    "joins tenant, agent and key with a colon",
    UNIQUE,
    ["keys/scope"],
    keyed({ slot: ({ tenantId, agentName, key }) => key && [tenantId, agentName, key].filter(Boolean).join(":") }),
  ),
  mutant("folds the case of keys", UNIQUE, ["keys/scope"], keyed({ slot: (info) => slotOf(info)?.toLowerCase() })),
  mutant("normalises keys", UNIQUE, ["keys/scope"], keyed({ slot: (info) => slotOf(info)?.normalize("NFC").replaceAll(" ", "") })),
  mutant("cuts long keys", UNIQUE, ["keys/scope"], keyed({ slot: (info) => slotOf(info)?.slice(0, 255) })),
  mutant(
    "gives a user's sessions a key",
    "sessions created without a key are never returned",
    ["keys/none"],
    keyed({
      slot: (info) =>
        slotOf({ ...info, ...(info.key === undefined && info.userId !== undefined ? { key: `user:${info.userId}` } : undefined) }),
    }),
  ),
  mutant(
    "leaves the key to a create that failed",
    UNFINISHED,
    ["keys/unfinished", "keys/unfinished-race", "keys/take-failed"],
    keyed({ blocks: true }),
  ),
  mutant("takes `take` for `get`", TAKE, ["keys/take"], keyed({ take: "gets" })),
  mutant(
    "creates for `take`, but leaves the key",
    TAKE,
    ["keys/take", "keys/take-race", "keys/kept-by-new-owner"],
    keyed({ take: "keeps" }),
  ),
  mutant("takes a key only from who had it at first", `${TAKE}; ${FREED}`, ["keys/deleted-while-created"], keyed({ take: "swaps" })),
  mutant("loses the key with `take`", TAKE, ["keys/take", "keys/take-free", "keys/kept-by-new-owner"], keyed({ take: "loses" })),
  mutant(
    "never frees a key",
    FREED,
    ["keys/freed-by-delete", "keys/race-with-delete", "keys/delete-twice", "rewrite/key-stays"],
    keyed({ frees: "never" }),
  ),
  mutant("frees a key whoever has it", FREED, ["keys/kept-by-new-owner"], keyed({ frees: "always" })),
  mutant("frees the key again when it deletes again", FREED, ["keys/delete-twice"], keyed({ frees: "once more" })),
  mutant("loses the key with a rewrite", "a new incarnation of the same id", ["rewrite/key-stays"], keyed({ lostByRewrite: true })),
  mutant(
    "creates beside the holder",
    "get: answer with the session that has it",
    ["keys/get", "keys/race", "keys/get-brings-head"],
    (real) => ({
      create: (request) => real.create(request.onKey === "get" ? { ...request, onKey: "take" } : request),
    }),
  ),
  mutant("refuses a taken key also to `get`", "get: answer with the session that has it", ["keys/get", "keys/race"], (real) => ({
    create(request) {
      const { onKey, ...rest } = request;
      return real.create(onKey === "get" ? rest : request);
    },
  })),
  mutant("gives the holder to who wants a new session", "absent: KEY_EXISTS", ["keys/taken", "keys/race-for-new"], (real) => ({
    create: (request) => real.create({ ...request, onKey: request.onKey ?? "get" }),
  })),
  mutant("says that it created what it found", "get: answer with the session that has it", ["keys/get", "keys/race"], (real) => ({
    create: async (request) => ({ ...(await real.create(request)), created: true }),
  })),
  mutant("brings the head of the creation", "get: answer with the session that has it", ["keys/get-brings-head"], (real) => {
    const heads = new Map<string, Head>();
    return {
      async create(request) {
        const answer = await real.create(request);
        if (answer.created) heads.set(answer.head.id, answer.head);
        return { ...answer, head: heads.get(answer.head.id) ?? answer.head };
      },
    };
  }),
];
