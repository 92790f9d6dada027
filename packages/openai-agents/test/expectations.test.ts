import { type AgentInputItem, MemorySession, type SessionHistoryRewriteAwareSession } from "@openai/agents";
import { MemorySession as NextMemorySession, type SessionHistoryTransactionAwareSession } from "@openai/agents-core-next";
import { describe, expect, it } from "vitest";
import { asOpenAISession } from "../src/index.ts";
import { fileStore, memoryStore, newSession } from "./stores.ts";

const user = (text: string): AgentInputItem => ({ role: "user", content: [{ type: "input_text", text }] });
const call = (id: string, callId: string, args: string): AgentInputItem => ({
  type: "function_call",
  id,
  callId,
  name: "lookup",
  status: "completed",
  arguments: args,
});

type Create<S> = (items?: AgentInputItem[]) => Promise<S>;

async function durable(store: Parameters<typeof newSession>[0], items: AgentInputItem[] = []) {
  const session = asOpenAISession(await newSession(store));
  await session.addItems(items);
  return session;
}

const all: readonly (readonly [string, Create<SessionHistoryRewriteAwareSession>])[] = [
  ["MemorySession of the SDK", async (initialItems) => new MemorySession(initialItems === undefined ? {} : { initialItems })],
  ["asOpenAISession in memory", (items) => durable(memoryStore(), items)],
  ["asOpenAISession on files", (items) => durable(fileStore(), items)],
];
const withTransactions: readonly (readonly [string, Create<SessionHistoryTransactionAwareSession>])[] = [
  ["MemorySession of the newest SDK", async (items) => new NextMemorySession({ initialItems: (items ?? []) as unknown as never[] })],
  // The session fits the newest SDK's types, too.
  ["asOpenAISession in memory", (items) => durable(memoryStore(), items) as Promise<SessionHistoryTransactionAwareSession>],
  ["asOpenAISession on files", (items) => durable(fileStore(), items) as Promise<SessionHistoryTransactionAwareSession>],
];

describe.each(all)("what the SDK expects of a session: %s", (_, create) => {
  it("has an id that stays", async () => {
    const session = await create();
    const id = await session.getSessionId();
    expect(id).not.toBe("");
    await session.addItems([user("x")]);
    await session.clearSession();
    expect(await session.getSessionId()).toBe(id);
  });

  it("adds, gives the last items in their order, pops, clears", async () => {
    const session = await create([user("hello")]);
    expect(await session.getItems()).toEqual([user("hello")]);
    await session.addItems([user("one"), user("two")]);
    expect(await session.getItems()).toEqual([user("hello"), user("one"), user("two")]);
    expect(await session.getItems(2)).toEqual([user("one"), user("two")]);
    expect(await session.getItems(1)).toEqual([user("two")]);
    expect(await session.getItems(99)).toHaveLength(3);
    expect(await session.getItems(0)).toEqual([]);
    expect(await session.getItems(-1)).toEqual([]);
    expect(await session.getItems(Number.POSITIVE_INFINITY)).toHaveLength(3);
    expect(await session.popItem()).toEqual(user("two"));
    expect(await session.getItems()).toEqual([user("hello"), user("one")]);
    await session.addItems([]);
    expect(await session.getItems()).toHaveLength(2);
    await session.clearSession();
    expect(await session.getItems()).toEqual([]);
    expect(await session.getItems(3)).toEqual([]);
    expect(await session.popItem()).toBeUndefined();
    await session.addItems([user("anew")]);
    expect(await session.getItems()).toEqual([user("anew")]);
  });

  it("pops one item after the other, also of those that were added together", async () => {
    const items: AgentInputItem[] = [
      user("go"),
      { type: "reasoning", id: "rs_1", content: [{ type: "input_text", text: "hm" }] },
      { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: "Let me see." }] },
      call("fc_1", "call-1", "{}"),
      call("fc_2", "call-2", "{}"),
      { type: "function_call_result", callId: "call-1", name: "lookup", status: "completed", output: { type: "text", text: "1" } },
    ];
    const session = await create();
    await session.addItems(items);
    for (let left = items.length; left > 0; left -= 1) {
      expect(await session.getItems()).toEqual(items.slice(0, left));
      expect(await session.getItems(2)).toEqual(items.slice(0, left).slice(-2));
      expect(await session.popItem()).toEqual(items[left - 1]);
    }
    expect(await session.getItems()).toEqual([]);
  });

  it("keeps calls without results, results without calls, and both in any order", async () => {
    const result = (callId: string): AgentInputItem => ({
      type: "function_call_result",
      callId,
      name: "lookup",
      status: "completed",
      output: "ok",
    });
    const items = [result("nobody"), call("a", "1", "{}"), call("b", "2", "{}"), result("2"), user("stop"), result("1"), result("1")];
    const session = await create();
    for (const item of items) await session.addItems([item]);
    expect(await session.getItems()).toEqual(items);
    expect(await session.getItems(4)).toEqual(items.slice(-4));
  });

  it("gives and takes copies", async () => {
    const session = await create([user("start")]);
    const [given] = await session.getItems();
    (given as { content: unknown }).content = "mutated";
    expect(await session.getItems()).toEqual([user("start")]);
    const next = user("next");
    await session.addItems([next]);
    (next as { content: unknown }).content = "mutated";
    expect(await session.getItems()).toEqual([user("start"), user("next")]);
    const popped = await session.popItem();
    (popped as { content: unknown }).content = "mutated";
    expect(await session.getItems()).toEqual([user("start")]);
  });

  it("replaces a call and drops the others with its id", async () => {
    const session = await create([
      user("start"),
      call("call-old-1", "call-1", '{"ok":false}'),
      call("other", "call-2", "{}"),
      user("between"),
      call("call-old-2", "call-1", '{"duplicate":true}'),
      user("end"),
    ]);
    const replacement = call("call-new", "call-1", '{"ok":true}') as Extract<AgentInputItem, { type: "function_call" }>;
    await session.applyHistoryMutations({ mutations: [] });
    await session.applyHistoryMutations({ mutations: [{ type: "replace_function_call", callId: "nobody", replacement }] });
    await session.applyHistoryMutations({ mutations: [{ type: "replace_function_call", callId: "call-1", replacement }] });
    expect(await session.getItems()).toEqual([user("start"), replacement, call("other", "call-2", "{}"), user("between"), user("end")]);
  });
});

describe.each(withTransactions)("what the SDK expects of transactions: %s", (_, create) => {
  it("an append is applied once, whatever came after it", async () => {
    const session = await create([user("start")]);
    const appended = user("committed");
    const args = { operationId: "op", transaction: { type: "append_items" as const, items: [appended] } };
    await session.applyHistoryTransaction(args);
    (appended as { content: unknown }).content = "mutated";
    await session.addItems([user("later")]);
    await session.applyHistoryTransaction({ operationId: "op", transaction: { type: "append_items", items: [user("committed")] } });
    expect(await session.getItems()).toEqual([user("start"), user("committed"), user("later")]);
  });

  it("a suffix is replaced once, also inside of what was added together, and by nothing", async () => {
    const blocked = [call("1", "a", "{}"), call("2", "b", "{}")];
    const session = await create([user("start"), ...blocked]);
    const replace = {
      operationId: "op-1",
      transaction: { type: "replace_suffix" as const, expectedSuffix: blocked.slice(1), replacement: [user("accepted")] },
    };
    await session.applyHistoryTransaction(replace);
    await session.addItems([user("later")]);
    await session.applyHistoryTransaction(replace);
    expect(await session.getItems()).toEqual([user("start"), blocked[0], user("accepted"), user("later")]);

    const remove = {
      operationId: "op-2",
      transaction: { type: "replace_suffix" as const, expectedSuffix: [user("later")], replacement: [] },
    };
    await session.applyHistoryTransaction(remove);
    await session.addItems([user("later")]);
    await session.applyHistoryTransaction(remove);
    expect(await session.getItems()).toEqual([user("start"), blocked[0], user("accepted"), user("later")]);

    await session.applyHistoryTransaction({
      operationId: "op-3",
      transaction: { type: "replace_suffix", expectedSuffix: [], replacement: [user("end")] },
    });
    expect((await session.getItems()).slice(-2)).toEqual([user("later"), user("end")]);
  });

  it("a suffix that does not match changes and records nothing", async () => {
    const session = await create([user("start")]);
    const replace = (expected: AgentInputItem[]) =>
      session.applyHistoryTransaction({
        operationId: "op",
        transaction: { type: "replace_suffix", expectedSuffix: expected, replacement: [user("accepted")] },
      });
    await expect(replace([user("different")])).rejects.toThrow("suffix no longer matches");
    await expect(replace([user("too"), user("many"), user("start")])).rejects.toThrow("suffix no longer matches");
    expect(await session.getItems()).toEqual([user("start")]);
    await replace([user("start")]);
    expect(await session.getItems()).toEqual([user("accepted")]);
  });

  it("an operation id stands for one transaction, an empty one too, until the session is cleared", async () => {
    const session = await create();
    const append = (operationId: string, ...items: AgentInputItem[]) =>
      session.applyHistoryTransaction({ operationId, transaction: { type: "append_items", items } });
    await append("op-1", user("first"));
    await expect(append("op-1", user("second"))).rejects.toThrow("already applied with a different transaction");
    await append("op-2");
    await expect(append("op-2", user("unexpected"))).rejects.toThrow("already applied with a different transaction");
    expect(await session.getItems()).toEqual([user("first")]);
    await session.popItem();
    await append("op-1", user("first"));
    expect(await session.getItems()).toEqual([]);
    await session.clearSession();
    await append("op-1", user("first"));
    expect(await session.getItems()).toEqual([user("first")]);
  });

  it("refuses what it cannot apply before anything is written, and does not show content", async () => {
    const session = await create([user("start")]);
    const refused = async (args: unknown, message: RegExp) =>
      expect(session.applyHistoryTransaction(args as Parameters<typeof session.applyHistoryTransaction>[0])).rejects.toThrow(message);
    const append = (...items: unknown[]) => ({ operationId: "op", transaction: { type: "append_items", items } });
    const carrying = (data: unknown) => ({ ...user("x"), providerData: data });
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    await refused({ operationId: "  ", transaction: { type: "append_items", items: [] } }, /operationId must be a non-empty string/);
    await refused({ operationId: "op", transaction: { type: "unknown" } }, /Unsupported session history transaction type/);
    await refused({ operationId: "op", transaction: null }, /transaction must be an object/);
    await refused(append(42), /items/);
    await refused(append(carrying({ at: new Date(0) })), /items/);
    await refused(append(carrying(cycle)), /items/);
    await refused(append(carrying({ value: 42n })), /items/);
    await refused({ operationId: "op", transaction: { type: "append_items", items: new Array(1) } }, /items/);
    await refused({ operationId: "op", transaction: { type: "append_items", items: [], extra: 1 } }, /append/);
    await refused(append(carrying({ secret: Symbol("api-key-secret") })), /^(?!.*api-key-secret)/);
    expect(await session.getItems()).toEqual([user("start")]);
    await session.applyHistoryTransaction(append(user("retry")) as Parameters<typeof session.applyHistoryTransaction>[0]);
    expect(await session.getItems()).toEqual([user("start"), user("retry")]);
  });
});
