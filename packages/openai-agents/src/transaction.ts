import { hash } from "node:crypto";
import { AixgoError, type Json, type MessageDraft } from "@aixgo/core";
import type { Session } from "@aixgo/session";
import type { AgentInputItem } from "@openai/agents";
import { change, readTail, replaceFrom } from "./conversation.ts";
import { isObject, isSame } from "./difference.ts";
import type { Item } from "./item-parts.ts";
import { checkedItem, messagesOf, OWN } from "./stored-items.ts";

/** A change to the end of a history, as the SDK asks for it from version 0.17 on. */
export type HistoryTransaction =
  | { readonly type: "append_items"; readonly items: readonly AgentInputItem[] }
  | {
      readonly type: "replace_suffix";
      readonly expectedSuffix: readonly AgentInputItem[];
      readonly replacement: readonly AgentInputItem[];
    };

export interface HistoryTransactionArgs {
  /** The same for each attempt. */
  readonly operationId: string;
  readonly transaction: HistoryTransaction;
}

/** Why the head went to the beginning: operations before that may be applied again. */
export const CLEARED = "clearSession";
const WHAT = "applyHistoryTransaction";

interface Checked {
  readonly operationId: string;
  readonly transaction:
    | { readonly type: "append_items"; readonly items: readonly Item[] }
    | { readonly type: "replace_suffix"; readonly expectedSuffix: readonly Item[]; readonly replacement: readonly Item[] };
  readonly digest: string;
}

/** Applies a transaction once, whoever asks for it again: the operation lies with what it wrote, in one batch. */
export async function applyTransaction(session: Session, args: HistoryTransactionArgs): Promise<void> {
  const { operationId, transaction, digest } = check(args);
  const mark = { id: operationId, digest };
  await change(session, async (expectedVersion) => {
    const applied = await appliedOperations(session);
    const earlier = applied.get(operationId);
    if (earlier === digest) return;
    if (earlier !== undefined)
      throw new AixgoError(
        "OP_REUSED",
        `${WHAT}: operation ${JSON.stringify(operationId)} of session ${session.id} was already applied with a different transaction`,
      );
    if (transaction.type === "append_items") {
      await session.append(marked(messagesOf(transaction.items, WHAT), mark), { expectedVersion });
      return;
    }
    const { expectedSuffix, replacement } = transaction;
    const tail = await readTail(session, Math.max(expectedSuffix.length, 1));
    const suffix = expectedSuffix.length === 0 ? [] : tail.items.slice(-expectedSuffix.length);
    if (suffix.length !== expectedSuffix.length || !suffix.every(({ item }, index) => isSame(item, expectedSuffix[index] as Item)))
      throw new AixgoError(
        "SUFFIX_MISMATCH",
        `${WHAT}: the history of session ${session.id} does not end with what is to be replaced: its suffix no longer matches the transaction precondition`,
      );
    const from = suffix[0]?.place ?? { message: tail.messages.length, item: 0 };
    await replaceFrom(session, tail, from, marked(messagesOf(replacement, WHAT), mark), { expectedVersion, reason: WHAT });
  });
}

/** The operations that were applied since the session was last cleared, on any branch. */
async function appliedOperations(session: Session): Promise<ReadonlyMap<string, string>> {
  const applied = new Map<string, string>();
  for await (const { type, data } of session.entries()) {
    if (!isObject(data)) continue;
    if (type === "restore" && data["reason"] === CLEARED) applied.clear();
    if (type !== "message" || !isObject(data["metadata"])) continue;
    const own = data["metadata"][OWN];
    const operation = isObject(own) ? own["operation"] : undefined;
    if (isObject(operation)) applied.set(operation["id"] as string, operation["digest"] as string);
  }
  return applied;
}

function marked(messages: readonly MessageDraft[], operation: { readonly id: string; readonly digest: string }): MessageDraft[] {
  // A transaction that leaves nothing is recorded by a message without parts, which no reader is shown.
  const [first = { role: "tool", parts: [], metadata: { [OWN]: { items: [] } } } as const, ...others] = messages;
  return [{ ...first, metadata: { ...first.metadata, [OWN]: { ...(first.metadata?.[OWN] as object), operation } } }, ...others];
}

function check(args: unknown): Checked {
  const invalid = (problem: string): AixgoError => new AixgoError("INVALID_INPUT", `${WHAT}: ${problem}`);
  if (typeof args !== "object" || args === null) throw invalid("the arguments must be an object with operationId and transaction");
  // Each is read once: what is checked is what is applied.
  const { operationId, transaction } = args as { readonly operationId?: unknown; readonly transaction?: unknown };
  if (typeof operationId !== "string" || operationId.trim() === "") throw invalid("operationId must be a non-empty string");
  if (typeof transaction !== "object" || transaction === null) throw invalid("the transaction must be an object");
  const { type, ...lists } = transaction as { readonly type?: unknown } & { readonly [key: string]: unknown };
  const wanted = type === "append_items" ? ["items"] : type === "replace_suffix" ? ["expectedSuffix", "replacement"] : undefined;
  if (wanted === undefined)
    throw invalid(
      `Unsupported session history transaction type ${JSON.stringify(type) ?? "undefined"}; known are append_items and replace_suffix`,
    );
  const unexpected = Object.keys(lists).find((key) => !wanted.includes(key));
  if (unexpected !== undefined) throw invalid(`${String(type)} has no member ${JSON.stringify(unexpected)}`);
  const checked = Object.fromEntries(
    wanted.map((name) => {
      const list = lists[name];
      if (!Array.isArray(list)) throw invalid(`${name} must be a list of items`);
      return [name, Array.from(list, (item: unknown, index) => checkedItem(item, `${WHAT}: ${name}[${index}]`))] as const;
    }),
  );
  const whole = { type, ...checked } as Checked["transaction"];
  return { operationId, transaction: whole, digest: hash("sha256", canonical(whole), "base64url") };
}

/** JSON text with sorted members. */
function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`;
}
