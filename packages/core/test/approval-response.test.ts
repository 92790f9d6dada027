import * as v6 from "ai";
import { describe, expect, it } from "vitest";
import {
  type AgentEvent,
  assistantMessage,
  type EventSource,
  type Message,
  type ResponseOptions,
  streamResponse,
  type SuspendRequest,
  type ToolCallPart,
  toolApprovalOf,
} from "../src/index.ts";
import { type CHATS, shownBy } from "./stream-readers.ts";

const call = (toolCallId: string, n: number): ToolCallPart => ({ type: "tool-call", toolCallId, toolName: "pay", input: { n } });
const approvalOf = ({ toolCallId, toolName, input }: ToolCallPart): SuspendRequest => ({
  requestId: `turn.1.${toolCallId}`,
  reason: "May it?",
  data: { type: "tool-approval", toolCallId, toolName, input },
});
const question: SuspendRequest = { requestId: "size", reason: "Which size?", data: { sizes: ["S", "L"] } };
const results = (...outputs: readonly (readonly [id: string, output: object])[]): AgentEvent =>
  ({
    type: "message",
    message: {
      role: "tool",
      parts: outputs.map(([toolCallId, output]) => ({ type: "tool-result", toolCallId, toolName: "pay", output })),
    },
  }) as AgentEvent;

/** A turn's events, and what it waits for when they are over. */
function source(events: readonly AgentEvent[], requests: readonly SuspendRequest[], open?: readonly ToolCallPart[]): EventSource {
  const message = assistantMessage([{ type: "text", text: "" }]) as Message;
  const status = requests.length === 0 ? "completed" : "suspended";
  const turn = { id: "turn", sessionId: "s", version: 5, replayed: false, status, ...(requests.length === 0 ? {} : { requests }) } as const;
  return {
    reply: Promise.resolve({ message, text: "", turn }),
    async *[Symbol.asyncIterator]() {
      for (const [at, event] of events.entries()) yield { ...event, cursor: String(at + 1) };
    },
    ...(open === undefined ? {} : { openCalls: () => open }),
  };
}

interface Read {
  readonly generation?: keyof typeof CHATS;
  readonly options?: ResponseOptions;
  /** What the chat shows already: the stream goes on with it. */
  readonly message?: v6.UIMessage;
}
const shown = (from: EventSource, { options = { approvals: true }, ...read }: Read = {}): Promise<v6.UIMessage> =>
  shownBy(() => streamResponse(from, options), read);

const asks: AgentEvent = {
  type: "message",
  message: { role: "assistant", parts: [{ type: "text", text: "I pay." }, call("c1", 1), call("c2", 2)] },
};

describe("a response of a turn that waits", () => {
  it("shows calls that wait for approval as such to readers who know that, in the step of the call", async () => {
    const message = await shown(source([asks], [approvalOf(call("c1", 1)), approvalOf(call("c2", 2))]));
    expect(message.parts).toMatchObject([
      { type: "step-start" },
      { type: "text", text: "I pay." },
      { type: "tool-pay", toolCallId: "c1", state: "approval-requested", input: { n: 1 }, approval: { id: "turn.1.c1" } },
      { type: "tool-pay", toolCallId: "c2", state: "approval-requested", input: { n: 2 }, approval: { id: "turn.1.c2" } },
    ]);
    expect(message.metadata).toMatchObject({ turn: { status: "suspended", requests: [{ requestId: "turn.1.c1" }, {}] } });
  });

  it.each(["v5", "v6"] as const)("gives every other reader (AI SDK %s) each request as a part data-request, once", async (generation) => {
    const requests = [approvalOf(call("c1", 1)), question];
    const first = await shown(source([asks], requests), { generation, options: {} });
    const parts = [
      { type: "step-start" },
      { type: "text", text: "I pay." },
      { type: "tool-pay", toolCallId: "c1", state: "input-available" },
      { type: "tool-pay", toolCallId: "c2", state: "input-available" },
      { type: "data-request", id: "turn.1.c1", data: requests[0] },
      { type: "data-request", id: "size", data: question },
    ];
    expect(first.parts).toMatchObject(parts);
    // The same is asked again, as when a page sends its question twice.
    expect((await shown(source([], requests), { generation, options: {}, message: first })).parts).toMatchObject(parts);
  });

  it("of the AI SDK 5, fails at what approvals: true sends: so it is an option", async () => {
    const read = shown(source([asks], [approvalOf(call("c1", 1))]), { generation: "v5" });
    await expect(read).rejects.toThrow(/Type validation failed|Invalid input/i);
  });

  it("gives what is no approval of a call as data-request with approvals too", async () => {
    const odd: SuspendRequest[] = [
      question,
      { requestId: "bare", reason: "?" },
      { requestId: "no call", reason: "?", data: { type: "tool-approval", toolName: "pay", input: 1 } },
      { requestId: "a list", reason: "?", data: ["tool-approval"] },
    ];
    expect(odd.map(toolApprovalOf)).toEqual([undefined, undefined, undefined, undefined]);
    const { parts } = await shown(source([asks], odd));
    expect(parts.filter(({ type }) => type === "data-request")).toMatchObject(odd.map((data) => ({ id: data.requestId, data })));
  });

  it("shows a call that waits to a reader who was not shown it: the stream of an answer with others still open", async () => {
    expect((await shown(source([], [approvalOf(call("c2", 2))]))).parts).toMatchObject([
      { type: "tool-pay", toolCallId: "c2", state: "approval-requested", input: { n: 2 }, approval: { id: "turn.1.c2" } },
    ]);
  });

  it("as server-sent events ends with what it waits for", async () => {
    const text = await streamResponse(source([asks], [question]), { format: "sse" }).text();
    const done = /event: done\ndata: (.+)\n/.exec(text)?.[1] as string;
    expect(JSON.parse(done)).toMatchObject({ turn: { status: "suspended", requests: [question] } });
  });
});

describe("a response of a turn that goes on", () => {
  const answered = results(["c1", { type: "json", value: "paid" }], ["c2", { type: "execution-denied", reason: "too much" }]);
  const said: AgentEvent = { type: "message", message: { role: "assistant", parts: [{ type: "text", text: "Done." }] } };
  const respond = (part: object, approved: boolean): object => ({
    ...part,
    state: "approval-responded",
    approval: { id: "a", approved, reason: "r" },
  });

  it("goes on with the message of a reader who answered: results and denials in their calls, nothing doubled", async () => {
    const before = await shown(source([asks], [approvalOf(call("c1", 1)), approvalOf(call("c2", 2))]));
    const message = { ...before, parts: before.parts.map((part, at) => (at < 2 ? part : respond(part, at === 2))) } as v6.UIMessage;
    const { parts } = await shown(source([answered, said], [], [call("c1", 1), call("c2", 2)]), { message });
    expect(parts).toMatchObject([
      { type: "step-start" },
      { type: "text", text: "I pay." },
      { type: "tool-pay", toolCallId: "c1", state: "output-available", input: { n: 1 }, output: "paid" },
      { type: "tool-pay", toolCallId: "c2", state: "output-denied", input: { n: 2 }, approval: { approved: false, reason: "r" } },
      { type: "step-start" },
      { type: "text", text: "Done." },
    ]);
  });

  it("that waits again tells calls that are open still as open: a chat would send its answers again and again", async () => {
    const before = await shown(source([asks], [approvalOf(call("c1", 1)), approvalOf(call("c2", 2))]));
    const message = { ...before, parts: before.parts.map((part, at) => (at < 2 ? part : respond(part, true))) } as v6.UIMessage;
    expect(v6.lastAssistantMessageIsCompleteWithApprovalResponses({ messages: [message] })).toBe(true);
    const events = [results(["c1", { type: "json", value: "paid" }])];
    const again = await shown(source(events, [question], [call("c1", 1), call("c2", 2)]), { message });
    expect(again.parts.slice(2)).toMatchObject([
      { toolCallId: "c1", state: "output-available", input: { n: 1 }, output: "paid" },
      { toolCallId: "c2", state: "input-available", input: { n: 2 } },
      { type: "data-request", id: "size" },
    ]);
    expect(v6.lastAssistantMessageIsCompleteWithApprovalResponses({ messages: [again] })).toBe(false);
  });

  it.each(["v5", "v6"] as const)("shows the calls to one who comes new, with their inputs (AI SDK %s)", async (generation) => {
    const { parts } = await shown(source([answered, said], [], [call("c1", 1), call("c2", 2)]), { generation, options: {} });
    expect(parts).toMatchObject([
      { type: "tool-pay", toolCallId: "c1", state: "output-available", input: { n: 1 }, output: "paid" },
      { type: "tool-pay", toolCallId: "c2", state: "output-error", input: { n: 2 }, errorText: "it was not allowed to run: too much" },
      { type: "step-start" },
      { type: "text", text: "Done." },
    ]);
  });
});
