import type { AgentEvent, Reply } from "./agent.ts";
import { isNext } from "./cursor-order.ts";
import type { Json, MessageDraft, MessageInput, Part, TextPart, ToolCallPart, ToolResultPart } from "./message.ts";
import { factsOf, frame } from "./server-sent-events.ts";
import type { StreamEncoder } from "./stream-encoder.ts";
import { type SuspendRequest, toolApprovalOf } from "./suspension.ts";

/** The chunks of the AI SDK's UI message stream that we send; protocol "v1", of its versions 5 and 6. */
export type UiMessageChunk =
  | { readonly type: "start"; readonly messageId?: string }
  | { readonly type: "start-step" | "finish-step" }
  | { readonly type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end"; readonly id: string }
  | { readonly type: "text-delta" | "reasoning-delta"; readonly id: string; readonly delta: string }
  | { readonly type: "tool-input-available"; readonly toolCallId: string; readonly toolName: string; readonly input: Json }
  | { readonly type: "tool-output-available"; readonly toolCallId: string; readonly output: Json }
  | { readonly type: "tool-output-error"; readonly toolCallId: string; readonly errorText: string }
  /** Both since version 6. */
  | { readonly type: "tool-approval-request"; readonly approvalId: string; readonly toolCallId: string }
  | { readonly type: "tool-output-denied"; readonly toolCallId: string }
  | { readonly type: "file"; readonly url: string; readonly mediaType: string }
  | { readonly type: `data-${string}`; readonly id?: string; readonly data: Json }
  | { readonly type: "error"; readonly errorText: string }
  | { readonly type: "finish"; readonly messageMetadata: object };

export interface UiMessageOptions {
  /** @default one that the reader makes */
  readonly messageId: string | undefined;
  /** The reader knows approvals. */
  readonly approvals: boolean;
  /** Calls of before the stream that had no result then. */
  readonly openCalls: () => readonly ToolCallPart[];
}

/** Chunks in frames. The cursor is the `id` of an event's last frame: a reconnect never begins in the middle of an event. */
export function uiMessageEncoder({ messageId, ...options }: UiMessageOptions): StreamEncoder {
  const writer = createChunkWriter(options);
  const frames = (chunks: readonly UiMessageChunk[], id?: string): string =>
    chunks.map((chunk, index) => frame(JSON.stringify(chunk), id !== undefined && index === chunks.length - 1 ? { id } : {})).join("");
  return {
    begin: () => frames([{ type: "start", ...(messageId === undefined ? undefined : { messageId }) }]),
    event: (event) => frames(writer.event(event, event.cursor), event.cursor),
    done: (reply) => `${frames(writer.finish(reply))}${frame("[DONE]")}`,
    failed: ({ code, message }) => `${frames([...writer.close(), { type: "error", errorText: `${code}: ${message}` }])}${frame("[DONE]")}`,
  };
}

interface ChunkWriter {
  event(event: AgentEvent, cursor: string): readonly UiMessageChunk[];
  /** Ends what is open. */
  close(): readonly UiMessageChunk[];
  finish(reply: Reply): readonly UiMessageChunk[];
}

type Kind = TextPart["type"];
type Shown = { readonly [K in Kind]: { start: string; length: number } };

/** About so much of what was shown is kept to compare the message with; of more, only the length. */
const MAX_COMPARED = 4_194_304;

function nothingShown(): Shown {
  return { text: { start: "", length: 0 }, reasoning: { start: "", length: 0 } };
}

/**
 * Turns events into chunks. A message usually repeats what its deltas have shown: of its text only what was not shown is sent. Deltas
 * that a slow reader missed show as a gap in the cursors; from there on the message is waited for, so that no text has holes.
 */
function createChunkWriter({ approvals, openCalls }: Omit<UiMessageOptions, "messageId">): ChunkWriter {
  let chunks: UiMessageChunk[] = [];
  let ids = 0;
  let open: { readonly kind: Kind; readonly id: string } | undefined;
  /** What deltas have shown since the last assistant message. */
  let shown = nothingShown();
  let gap = false;
  let last: string | undefined;
  let step: "none" | "open" | "complete" = "none";
  const calls = new Set<string>();

  const endPart = (): void => {
    if (open !== undefined) chunks.push({ type: `${open.kind}-end`, id: open.id });
    open = undefined;
  };
  const endStep = (): void => {
    endPart();
    if (step !== "none") chunks.push({ type: "finish-step" });
    step = "none";
  };
  const beginStep = (): void => {
    if (step === "complete") endStep();
    if (step === "none") chunks.push({ type: "start-step" });
    step = "open";
  };
  const write = (kind: Kind, delta: string): void => {
    if (delta === "") return;
    if (open?.kind !== kind) {
      endPart();
      open = { kind, id: `${kind}-${(ids += 1)}` };
      chunks.push({ type: `${kind}-start`, id: open.id });
    }
    chunks.push({ type: `${kind}-delta`, id: open.id, delta });
  };
  const delta = (kind: Kind, text: string): void => {
    beginStep();
    if (gap) return;
    const seen = shown[kind];
    if (seen.start.length < MAX_COMPARED) seen.start += text;
    seen.length += text.length;
    write(kind, text);
  };
  /** What the message says and the deltas did not. */
  const rest = (kind: Kind, parts: readonly Part[]): void => {
    const whole = parts.map((part) => (part.type === kind ? part.text : "")).join("");
    const { start, length } = shown[kind];
    if (whole.startsWith(start)) return write(kind, whole.slice(length));
    // Agents that join words with blanks show one more than they answer.
    const trimmed = start.trimEnd();
    if (whole.startsWith(trimmed) && whole.slice(trimmed.length).trimStart() === "") return;
    endPart();
    write(kind, whole);
  };
  const call = ({ toolCallId, toolName, input }: Omit<ToolCallPart, "type">): void => {
    calls.add(toolCallId);
    chunks.push({ type: "tool-input-available", toolCallId, toolName, input });
  };
  const result = (part: ToolResultPart): void => {
    const { toolCallId, toolName, output } = part;
    // Readers refuse an output whose call they have not seen: it was made in an earlier attempt, whose stream they may not have.
    if (!calls.has(toolCallId)) call(openCalls().find((open) => open.toolCallId === toolCallId) ?? { toolCallId, toolName, input: null });
    switch (output.type) {
      case "text":
      case "json":
        return void chunks.push({ type: "tool-output-available", toolCallId, output: output.value });
      case "content":
        return void chunks.push({ type: "tool-output-available", toolCallId, output: output.value as unknown as Json });
      case "error-text":
        return void chunks.push({ type: "tool-output-error", toolCallId, errorText: output.value });
      case "error-json":
        return void chunks.push({ type: "tool-output-error", toolCallId, errorText: JSON.stringify(output.value) });
      case "execution-denied":
        if (approvals) return void chunks.push({ type: "tool-output-denied", toolCallId });
        return void chunks.push({ type: "tool-output-error", toolCallId, errorText: because("it was not allowed to run", output.reason) });
      case "interrupted":
        return void chunks.push({ type: "tool-output-error", toolCallId, errorText: because("it was interrupted", output.reason) });
    }
  };
  const other = (part: Part): void => {
    switch (part.type) {
      case "text":
      case "reasoning":
        return;
      case "file":
        return void chunks.push({ type: "file", url: part.url, mediaType: part.mediaType });
      case "tool-call":
        return call(part);
      case "tool-result":
        return result(part);
      default:
        return void chunks.push({ type: part.type, data: part.data });
    }
  };
  const message = ({ role, parts }: MessageDraft): void => {
    // The stream is one message of the assistant: what an agent stores of others is not part of it.
    if (role === "user" || role === "system") return;
    if (role === "assistant") {
      beginStep();
      rest("reasoning", parts);
      rest("text", parts);
      shown = nothingShown();
      gap = false;
    }
    endPart();
    for (const part of parts) other(part);
    if (role === "assistant") step = "complete";
  };
  /**
   * A turn that waits again. Calls of before that are open still, but not asked for, are told as open: a chat that has answered for them
   * would take them for answered and send its answers again, for ever.
   */
  const stillOpen = (requests: readonly SuspendRequest[]): void => {
    const askedFor = new Set(requests.map((request) => toolApprovalOf(request)?.toolCallId));
    for (const open of openCalls()) if (!calls.has(open.toolCallId) && !askedFor.has(open.toolCallId)) call(open);
  };
  /** What the turn waits for. A call that was shown before this stream is shown in it again: what asks for it tells all of it. */
  const asked = (request: SuspendRequest): void => {
    const approval = approvals ? toolApprovalOf(request) : undefined;
    if (approval === undefined) {
      const { requestId, reason, data } = request;
      chunks.push({ type: "data-request", id: requestId, data: { requestId, reason, ...(data === undefined ? undefined : { data }) } });
      return;
    }
    if (!calls.has(approval.toolCallId)) call(approval);
    chunks.push({ type: "tool-approval-request", approvalId: request.requestId, toolCallId: approval.toolCallId });
  };
  const taken = (): readonly UiMessageChunk[] => {
    const all = chunks;
    chunks = [];
    return all;
  };

  return {
    event(event, cursor) {
      if (last !== undefined && !isNext(last, cursor)) gap = true;
      last = cursor;
      switch (event.type) {
        case "text-delta":
          delta("text", event.text);
          break;
        case "reasoning-delta":
          delta("reasoning", event.text);
          break;
        case "message":
          message(draftOf(event.message));
          break;
        default:
          beginStep();
          chunks.push({ type: event.type, data: event.data });
      }
      return taken();
    },
    close() {
      endStep();
      return taken();
    },
    finish(reply) {
      endPart();
      const { requests = [], status } = reply.turn ?? {};
      if (status === "suspended") stillOpen(requests);
      for (const request of requests) asked(request);
      endStep();
      chunks.push({ type: "finish", messageMetadata: factsOf(reply) });
      return taken();
    },
  };
}

/** Events of a stream carry whole messages; the type allows what agents hand over. */
function draftOf(message: MessageInput): MessageDraft {
  return typeof message === "string" ? { role: "assistant", parts: [{ type: "text", text: message }] } : message;
}

function because(what: string, reason: string | undefined): string {
  return reason === undefined ? what : `${what}: ${reason}`;
}
