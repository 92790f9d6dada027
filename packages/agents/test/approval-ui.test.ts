import { createRuntime, type Json, type ReplyStream, type Runtime, type SuspendRequest, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import {
  convertToModelMessages,
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  readUIMessageStream,
  safeValidateUIMessages,
  type UIMessage,
} from "ai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { approvalsIn, createReActAgent, fromUIMessages, tool, toUIMessages } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";
import { outcomeUnknown } from "../src/tool-runner.ts";
import { message } from "./harness.ts";

interface Place {
  readonly runtime: Runtime;
  readonly sessions: SessionManager;
  readonly session: Session;
  readonly paid: string[];
}
async function place(steps: Parameters<typeof createScriptedModel>[0]): Promise<Place> {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const paid: string[] = [];
  const pay = tool({
    inputSchema: z.object({ to: z.string() }),
    needsApproval: true,
    execute: ({ to }) => {
      paid.push(to);
      return `paid ${to}`;
    },
  });
  const runtime = createRuntime(withSessionManager(sessions)).register(
    createReActAgent({ name: "assistant", model: createScriptedModel(steps), tools: { pay } }),
  );
  await runtime.start();
  return { runtime, sessions, session: await sessions.create("assistant"), paid };
}
const pays = (...to: string[]) => ({ text: "I pay.", toolCalls: to.map((name) => ({ toolName: "pay", input: { to: name } })) });

/** What `useChat` shows of it, going on with a message if one is given. */
async function shownBy(stream: ReplyStream, before?: UIMessage): Promise<UIMessage> {
  const transport = new DefaultChatTransport({ fetch: async () => stream.toResponse({ approvals: true, messageId: "m1" }) });
  const chunks = await transport.sendMessages({
    trigger: "submit-message",
    chatId: "c",
    messageId: undefined,
    messages: [],
    abortSignal: undefined,
  });
  let last: UIMessage | undefined;
  const from = { stream: chunks, terminateOnError: true, ...(before === undefined ? {} : { message: before }) };
  for await (const each of readUIMessageStream(from)) last = each;
  return last as UIMessage;
}
/** As `addToolApprovalResponse` does it. */
function answered(shown: UIMessage, decide: (to: string) => { readonly approved: boolean; readonly reason?: string }): UIMessage {
  return {
    ...shown,
    parts: shown.parts.map((part) =>
      part.type === "tool-pay" && part.state === "approval-requested"
        ? { ...part, state: "approval-responded", approval: { ...part.approval, ...decide((part.input as { readonly to: string }).to) } }
        : part,
    ) as UIMessage["parts"],
  };
}
const toolsOf = ({ parts }: Pick<UIMessage, "parts">): unknown[] => parts.filter(({ type }) => type === "tool-pay");

describe("an approval through a chat of the AI SDK", () => {
  it("is asked in the stream, answered in the message that comes back, and goes on in the same message", async () => {
    const { runtime, session, paid } = await place([pays("bob", "eve"), "Bob has it."]);
    const shown = await shownBy(runtime.streamWithSession("assistant", "pay both", session.id));
    const requests = await session.requests();
    expect(toolsOf(shown)).toMatchObject(
      requests.map(({ requestId, data }) => ({
        state: "approval-requested",
        input: (data as { readonly input: Json }).input,
        approval: { id: requestId },
      })),
    );
    const back = answered(shown, (to) => (to === "bob" ? { approved: true } : { approved: false, reason: "not her" }));
    expect(lastAssistantMessageIsCompleteWithApprovalResponses({ messages: [back] })).toBe(true);
    const [bob, eve, ...others] = approvalsIn(back);
    expect([bob, eve, others]).toEqual([
      { requestId: requests[0]?.requestId, decision: { approved: true } },
      { requestId: requests[1]?.requestId, decision: { approved: false, reason: "not her" } },
      [],
    ]);
    // One of them alone: the other is still asked for.
    const half = await shownBy(runtime.streamResume(session.id, bob?.requestId as string, bob?.decision as Json));
    expect(toolsOf(half)).toMatchObject([{ state: "approval-requested", input: { to: "eve" }, approval: { id: eve?.requestId } }]);
    const whole = await shownBy(runtime.streamResume(session.id, eve?.requestId as string, eve?.decision as Json), back);
    expect(whole.parts).toMatchObject([
      { type: "step-start" },
      { type: "text", text: "I pay." },
      { type: "tool-pay", state: "output-available", input: { to: "bob" }, output: "paid bob" },
      { type: "tool-pay", state: "output-denied", input: { to: "eve" }, approval: { approved: false, reason: "not her" } },
      { type: "step-start" },
      { type: "text", text: "Bob has it." },
    ]);
    expect(whole.metadata).toMatchObject({ turn: { status: "completed" } });
    expect(paid).toEqual(["bob"]);
    expect(lastAssistantMessageIsCompleteWithApprovalResponses({ messages: [whole] })).toBe(false);
  });

  it("of a tool that asks for something else then: its call is open, its question is data, and the results of before stay", async () => {
    const sessions = createSessionManager({ backend: createMemoryBackend() });
    const inputSchema = z.object({ to: z.string() });
    const pay = tool({
      inputSchema,
      needsApproval: true,
      execute: async ({ to }, context) =>
        `${to}: ${JSON.stringify(await context.suspend({ requestId: `${context.session?.turnId}/pin`, reason: "PIN?" }))}`,
    });
    const look = tool({ inputSchema, execute: ({ to }) => `seen ${to}` });
    const step = { toolCalls: ["look", "pay"].map((toolName) => ({ toolName, input: { to: "bob" } })) };
    const runtime = createRuntime(withSessionManager(sessions)).register(
      createReActAgent({ name: "assistant", model: createScriptedModel([step, "Done."]), tools: { pay, look } }),
    );
    await runtime.start();
    const session = await sessions.create("assistant");
    const back = answered(await shownBy(runtime.streamWithSession("assistant", "pay", session.id)), () => ({ approved: true }));
    const [{ requestId, decision }] = approvalsIn(back) as [ReturnType<typeof approvalsIn>[0]];
    const again = await shownBy(runtime.streamResume(session.id, requestId, decision), back);
    expect(again.parts).toMatchObject([
      { type: "step-start" },
      { type: "tool-look", state: "output-available", output: "seen bob" },
      { type: "tool-pay", state: "input-available", input: { to: "bob" } },
      { type: "data-request", data: { reason: "PIN?" } },
    ]);
    expect(lastAssistantMessageIsCompleteWithApprovalResponses({ messages: [again] })).toBe(false);
    const [pin] = await session.requests();
    const done = await shownBy(runtime.streamResume(session.id, pin?.requestId as string, 1234), again);
    expect(toolsOf(done)).toMatchObject([{ state: "output-available", output: "bob: 1234" }]);
    await runtime.stop();
  });

  it("is shown, and what became of it, to a page that attaches while the turn runs", async () => {
    let goOn = (): void => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const sessions = createSessionManager({ backend: createMemoryBackend() });
    const pay = tool({
      inputSchema: z.object({ to: z.string() }),
      needsApproval: true,
      execute: ({ to }) => gate.then(() => `paid ${to}`),
    });
    const runtime = createRuntime(withSessionManager(sessions)).register(
      createReActAgent({ name: "assistant", model: createScriptedModel([pays("bob"), pays("eve")]), tools: { pay } }),
    );
    await runtime.start();
    const session = await sessions.create("assistant");
    await runtime.callWithSession("assistant", "pay", session.id);
    const [first] = await session.requests();
    const resumed = runtime.streamResume(session.id, first?.requestId as string, true);
    let attached = await runtime.attach(session.id);
    for (let tries = 0; attached === undefined && tries < 1_000; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      attached = await runtime.attach(session.id);
    }
    const showing = shownBy(attached as ReplyStream);
    goOn();
    await resumed.reply;
    const [second] = await session.requests();
    expect(toolsOf(await showing)).toMatchObject([
      { state: "output-available", input: { to: "bob" }, output: "paid bob" },
      { state: "approval-requested", input: { to: "eve" }, approval: { id: second?.requestId } },
    ]);
    await runtime.stop();
  });

  it.each(["closed", "stored"] as const)("is shown by toUIMessages from the %s history as the stream showed it", async (calls) => {
    const { runtime, session } = await place([pays("bob", "eve"), "Done."]);
    const shown = await shownBy(runtime.streamWithSession("assistant", "pay", session.id));
    const requests = await session.requests();
    const chat: UIMessage[] = toUIMessages(await session.messages({ calls }), { requests });
    expect(toolsOf(chat[1] as UIMessage)).toEqual(
      (toolsOf(shown) as { type: string; toolCallId: string; state: string; input: Json; approval: Json }[]).map(
        ({ type, toolCallId, state, input, approval }) => ({ type, toolCallId, state, input, approval }),
      ),
    );
    const validated = await safeValidateUIMessages({ messages: chat });
    if (!validated.success) throw validated.error;
    await convertToModelMessages(chat);
    // And back: the calls are open, the ids are kept.
    expect(toUIMessages(fromUIMessages(chat).map((draft) => message(draft.role, draft.parts)))[1]?.parts).toEqual(chat[1]?.parts);
    const [bob, eve] = requests.map(({ requestId }) => requestId) as [string, string];
    await runtime.resume(session.id, eve, true);
    // One is answered, and runs when the other is.
    expect(
      toolsOf(toUIMessages(await session.messages({ calls }), { requests: await session.requests({ answered: true }) })[1] as UIMessage),
    ).toMatchObject([
      { state: "approval-requested", input: { to: "bob" }, approval: { id: bob } },
      { state: "approval-responded", input: { to: "eve" }, approval: { id: eve, approved: true } },
    ]);
    await runtime.resume(session.id, bob, true);
    // Requests that were read before their answers do no harm.
    expect(toolsOf(toUIMessages(await session.messages({ calls }), { requests })[1] as UIMessage)).toMatchObject([
      { state: "output-available", output: "paid bob" },
      { state: "output-available", output: "paid eve" },
    ]);
  });
});

describe("toUIMessages with requests", () => {
  const call = (toolCallId: string, toolName = "pay") => ({ type: "tool-call", toolCallId, toolName, input: { to: "bob" } }) as const;
  const asks = (data: Json): SuspendRequest => ({ requestId: "r", reason: "?", data });
  const approval = { type: "tool-approval", toolCallId: "c", toolName: "pay", input: {} };
  const statesOf = (requests: readonly SuspendRequest[], ...parts: readonly ReturnType<typeof call>[][]): unknown[] =>
    toUIMessages(
      parts.map((each) => message("assistant", each)),
      { requests },
    ).flatMap(({ parts: all }) => all.flatMap((part) => ("state" in part ? [part.state] : [])));

  it("shows only the call that is asked for, and of calls with one id that of the last step", () => {
    expect(statesOf([asks(approval)], [call("c"), call("d")])).toEqual(["approval-requested", "input-available"]);
    expect(statesOf([asks(approval)], [call("c")], [call("c")])).toEqual(["input-available", "approval-requested"]);
    expect(statesOf([asks(approval)], [call("c", "other")])).toEqual(["input-available"]);
    expect(statesOf([asks(approval)], [call("c")], [call("d")])).toEqual(["input-available", "input-available"]);
    expect(statesOf([asks({ ...approval, type: "size" }), asks(null)], [call("c")])).toEqual(["input-available"]);
    expect(statesOf([], [call("c")])).toEqual(["input-available"]);
  });

  it("shows what became of a call that had begun, though another one of its step waits", () => {
    const closed = (toolCallId: string) => ({ type: "tool-result", toolCallId, toolName: "pay", output: { type: "interrupted" } }) as const;
    const chat = (requests: readonly SuspendRequest[]): unknown[] =>
      toUIMessages(
        [message("assistant", [call("c"), call("d"), call("e")]), message("tool", [closed("c"), closed("d"), outcomeUnknown(call("e"))])],
        { requests },
      ).flatMap(({ parts }) => parts.flatMap((part) => ("state" in part ? [part.state] : [])));
    expect(chat([asks(approval)])).toEqual(["approval-requested", "input-available", "output-error"]);
    expect(chat([])).toEqual(["output-error", "output-error", "output-error"]);
    expect(chat([asks({ ...approval, toolCallId: "other" })])).toEqual(["output-error", "output-error", "output-error"]);
  });

  it("keeps what else was kept with the call", () => {
    const kept = { ...call("c"), providerOptions: { openai: { itemId: "i" }, aixgo: { note: 1 } } };
    const [{ parts }] = toUIMessages([message("assistant", [kept])], { requests: [asks(approval)] }) as [UIMessage];
    expect(parts[0]).toMatchObject({
      state: "approval-requested",
      approval: { id: "r" },
      callProviderMetadata: { openai: { itemId: "i" }, aixgo: { note: 1 } },
    });
  });
});

describe("approvalsIn", () => {
  const part = (approval: unknown, more: object = {}): object => ({ type: "tool-pay", state: "approval-responded", approval, ...more });
  const of = (...parts: unknown[]): ReturnType<typeof approvalsIn> => approvalsIn({ role: "assistant", parts });

  it("reads the answers, each once, in their order, of dynamic tools too, and nothing else", () => {
    expect(
      of(
        { type: "step-start" },
        { type: "text", text: "x" },
        part({ id: "b", approved: false, reason: "no" }),
        part({ id: "a", approved: true, reason: "" }, { type: "dynamic-tool", toolName: "t" }),
        part({ id: "a", approved: true }),
        { type: "tool-pay", state: "approval-requested", approval: { id: "c" } },
        { type: "tool-pay", state: "output-denied", approval: { id: "d", approved: false } },
      ),
    ).toEqual([
      { requestId: "b", decision: { approved: false, reason: "no" } },
      { requestId: "a", decision: { approved: true } },
    ]);
    expect(of()).toEqual([]);
  });

  it.each<[string, unknown, RegExp]>([
    ["no message", null, /message is not an object/],
    ["a message of the user", { role: "user", parts: [] }, /message\.role is not assistant/],
    ["no parts", { role: "assistant" }, /message\.parts is not a list/],
    ["a part that is none", { role: "assistant", parts: [1] }, /parts\[0\] is not an object/],
    ["no approval", { role: "assistant", parts: [part(undefined)] }, /parts\[0\]\.approval is not an object/],
    ["no id", { role: "assistant", parts: [part({ approved: true })] }, /approval\.id is not a text, or is empty/],
    ["no decision", { role: "assistant", parts: [part({ id: "a", approved: "true" })] }, /approval\.approved is not true or false/],
    [
      "a reason that is none",
      { role: "assistant", parts: [part({ id: "a", approved: true, reason: {} })] },
      /approval\.reason is not a text/,
    ],
    [
      "two answers to one request",
      { role: "assistant", parts: [part({ id: "a", approved: true }), part({ id: "a", approved: false })] },
      /parts\[1\]\.approval answers request "a" in another way/,
    ],
  ])("refuses %s, and says where", (_, given, problem) => {
    expect(() => approvalsIn(given as never)).toThrow(
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringMatching(problem) as string }) as Error,
    );
  });
});
