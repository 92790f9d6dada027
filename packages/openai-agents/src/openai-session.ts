import { AixgoError, type MessageDraft } from "@aixgo/core";
import type { Session } from "@aixgo/session";
import type { AgentInputItem, SessionHistoryRewriteArgs, SessionHistoryRewriteAwareSession } from "@openai/agents";
import { change, firstEntryId, readTail, replaceFrom } from "./conversation.ts";
import type { Item } from "./item-parts.ts";
import { messagesOf, segmentsOf } from "./stored-items.ts";
import { applyTransaction, CLEARED, type HistoryTransactionArgs } from "./transaction.ts";

/** What `run(agent, input, { session })` takes, with everything that the SDK asks of its own `MemorySession`. */
export interface OpenAISession extends SessionHistoryRewriteAwareSession {
  /** Atomic, and applied once for each `operationId`. Asked for by the SDK from version 0.17 on. */
  applyHistoryTransaction(args: HistoryTransactionArgs): Promise<void>;
}

/**
 * A session as the OpenAI Agents SDK wants one. Every item comes back as it was added, after a restart too; what other code has written
 * into the session is shown as the nearest items. Nothing is ever cut off: `popItem`, `clearSession` and rewrites move the head,
 * and `session.restore` brings back what they removed.
 *
 * Its methods throw the errors of the session: `SESSION_BUSY` while a turn runs, `INVALID_INPUT` for items that JSON cannot carry,
 * `LIMIT_EXCEEDED`. Closing is the caller's.
 *
 * @throws AixgoError `INVALID_OPTION` for what is no session, such as the promise of one
 */
export function asOpenAISession(session: Session): OpenAISession {
  if (typeof (session as Partial<Session> | undefined)?.readMessages !== "function")
    throw new AixgoError(
      "INVALID_OPTION",
      "asOpenAISession takes a session: await sessions.get, create or getOrCreate, and give what it brings",
    );
  return {
    getSessionId: async () => session.id,

    async getItems(limit) {
      if (limit !== undefined && (typeof limit !== "number" || Number.isNaN(limit)))
        throw new AixgoError("INVALID_OPTION", `getItems: limit must be a number of items, not ${String(limit)}`);
      const count = Math.ceil(limit ?? Number.POSITIVE_INFINITY);
      if (count <= 0) return [];
      const { items } = await readTail(session, count);
      return items.slice(-count).map(({ item }) => given(item));
    },

    async addItems(items) {
      if (!Array.isArray(items)) throw new AixgoError("INVALID_INPUT", "addItems takes a list of items");
      if (items.length > 0) await session.append(messagesOf(items, "addItems"));
    },

    popItem: () =>
      change(session, async (expectedVersion) => {
        const tail = await readTail(session, 1);
        const last = tail.items.at(-1);
        if (last === undefined) return undefined;
        await replaceFrom(session, tail, last.place, [], { expectedVersion, reason: "popItem" });
        return given(last.item);
      }),

    async clearSession() {
      await session.restore(await firstEntryId(session), { reason: CLEARED });
    },

    applyHistoryMutations: ({ mutations }) => replaceCalls(session, mutations),

    applyHistoryTransaction: (args) => applyTransaction(session, args),
  };
}

/** Puts another call in the place of each that has the id; of several, the first. */
async function replaceCalls(session: Session, mutations: SessionHistoryRewriteArgs["mutations"]): Promise<void> {
  const replacements = new Map<unknown, Item>();
  for (const { type, callId, replacement } of mutations)
    if (type === "replace_function_call") replacements.set(callId, replacement as unknown as Item);
  if (replacements.size === 0) return;
  await change(session, async (expectedVersion) => {
    const tail = await readTail(session, Number.POSITIVE_INFINITY);
    const isMeant = ({ type, callId }: Item): boolean => type === "function_call" && replacements.has(callId);
    const first = tail.items.find(({ item }) => isMeant(item))?.place.message;
    if (first === undefined) return;
    const replaced = new Set<unknown>();
    const rewritten = tail.messages.slice(first).flatMap((message): readonly MessageDraft[] => {
      const items = segmentsOf(message).map(({ item }) => item);
      if (!items.some(isMeant)) {
        const { id: _id, ...draft } = message;
        return [draft];
      }
      const left = items.flatMap((item) => {
        if (!isMeant(item)) return [item];
        if (replaced.has(item["callId"])) return [];
        replaced.add(item["callId"]);
        return [replacements.get(item["callId"]) as Item];
      });
      return messagesOf(left, "applyHistoryMutations");
    });
    await replaceFrom(session, tail, { message: first, item: 0 }, rewritten, { expectedVersion, reason: "applyHistoryMutations" });
  });
}

/** A copy that the SDK may change: what the session holds is frozen. */
function given(item: Item): AgentInputItem {
  return structuredClone(item) as unknown as AgentInputItem;
}
