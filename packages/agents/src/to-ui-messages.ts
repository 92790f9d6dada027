import {
  type FilePart,
  type Json,
  type Message,
  type Part,
  type ToolCallPart,
  type ToolOutput,
  toolApprovalOf,
  type ToolResultPart,
  type WaitingRequest,
} from "@aixgo/core";
import { denialOf } from "./approval.ts";
import { ownMessages } from "./foreign-message.ts";
import { isRecord } from "./json.ts";
import { resultsAfter } from "./prompt.ts";
import { isOutcomeUnknown } from "./tool-runner.ts";
import { metadataOf, OWN, ownOf, type UIChatMessage, type UIJson, type UIPart, type UIToolState } from "./ui-message.ts";

export interface ToUIMessagesOptions {
  /** Tools whose parts are to be `dynamic-tool` instead of `tool-<name>`. @default none */
  readonly dynamicTools?: readonly string[];
  /** Where the browser finds a file: for `attachment:` addresses, which only the session knows. @default the address itself */
  readonly fileUrl?: (part: FilePart) => string;
  /**
   * What the session waits for, of `session.requests({ answered: true })`, read before the messages: a call of the last step that one of
   * them asks for is `approval-requested` under the request's id, or `approval-responded` while others of the step wait; calls that
   * need no answer and wait with it are `input-available`. Requests of other kinds have no place here. @default none
   */
  readonly requests?: readonly WaitingRequest[];
}

/**
 * A conversation as `useChat` of the AI SDK shows it. An assistant's steps up to the next message of the user are one UI message,
 * parted by `step-start`, under the id of the last of them; each call holds its result. A call without one is `input-available`,
 * or waits for approval. Sources are source parts; `data-…` parts stay what they are. A message with nothing to show is left out: the
 * AI SDK's validators refuse one without parts, and with it the whole chat.
 *
 * `fromUIMessages` makes the same conversation of it: roles, parts, results, ids but for those of the inner steps.
 *
 * @throws AixgoError `INVALID_INPUT` for what is no message of ours, naming the place
 */
export function toUIMessages(given: readonly Message[], options: ToUIMessagesOptions = {}): UIChatMessage[] {
  const messages = ownMessages(given, "toUIMessages");
  const chat: UIChatMessage[] = [];
  let open: UIChatMessage | undefined;
  // Providers use their ids again: what waits is of the last step.
  const waiting = messages.findLastIndex(({ role }) => role === "assistant");
  messages.forEach((message, index) => {
    const { role, parts } = message;
    if (role === "tool") {
      // Results are told with their calls. What else a tool said has no other place.
      const rest = parts.filter(({ type }) => type !== "tool-result");
      if (open !== undefined) open.parts.push(...rest.flatMap((part) => uiPart(part, new Map(), new Set(), options)));
      return;
    }
    const later = role === "assistant" ? resultsAfter(messages, index) : new Map<string, ToolResultPart>();
    const inside = new Map(parts.flatMap((part) => (part.type === "tool-result" ? [[part.toolCallId, part] as const] : [])));
    const results = new Map([...later, ...inside]);
    const requests = index === waiting ? asking(parts, options.requests) : undefined;
    const shown = parts.flatMap((part) => uiPart(part, results, new Set(inside.keys()), options, requests));
    const metadata = message.metadata === undefined ? undefined : { metadata: message.metadata as { [key: string]: UIJson } };
    if (role === "assistant" && open !== undefined) {
      open.parts.push({ type: "step-start" }, ...shown);
      open.id = message.id;
      if (metadata !== undefined) open.metadata = metadata.metadata;
      return;
    }
    const next: UIChatMessage = { id: message.id, role, parts: shown, ...metadata };
    open = role === "assistant" ? next : undefined;
    chat.push(next);
  });
  return chat.filter(({ parts }) => parts.length > 0);
}

function uiPart(
  part: Part,
  results: ReadonlyMap<string, ToolResultPart>,
  byProvider: ReadonlySet<string>,
  { dynamicTools = [], fileUrl }: ToUIMessagesOptions,
  requests: readonly WaitingRequest[] = [],
): UIPart[] {
  const metadata = metadataOf(part);
  const carry = metadata === undefined ? undefined : { providerMetadata: metadata };
  switch (part.type) {
    case "text":
    case "reasoning":
      return [{ type: part.type, text: part.text, state: "done", ...carry }];
    case "file": {
      const { mediaType, filename } = part;
      return [{ type: "file", mediaType, url: fileUrl?.(part) ?? part.url, ...(filename === undefined ? {} : { filename }), ...carry }];
    }
    case "tool-call": {
      const result = results.get(part.toolCallId);
      // A history that models accept has a result for it, which says that there is none. Answered or not, calls of one step wait for each other.
      const isOpen = result === undefined || (requests.length > 0 && result.output.type === "interrupted" && !isOutcomeUnknown(result));
      const asked = isOpen ? requestFor(part, requests) : undefined;
      const state = toolState(
        asked === undefined ? part : withApproval(part, asked),
        isOpen ? undefined : result,
        byProvider.has(part.toolCallId),
      );
      return dynamicTools.includes(part.toolName)
        ? [{ type: "dynamic-tool", toolName: part.toolName, ...state }]
        : [{ type: `tool-${part.toolName}`, ...state }];
    }
    case "tool-result":
      return [];
    default: {
      const source = part.type === "data-source" ? sourcePart(part.data) : undefined;
      if (source !== undefined) return [{ ...source, ...carry }];
      // Kept by `fromUIMessages`: with it a UI replaces the part by a newer one.
      const { id } = part as { readonly id?: unknown };
      return [{ type: part.type, ...(typeof id === "string" ? { id } : {}), data: part.data as UIJson }];
    }
  }
}

/** The requests that ask for a call of these parts. */
function asking(parts: readonly Part[], requests: readonly WaitingRequest[] = []): readonly WaitingRequest[] {
  return requests.filter((request) => parts.some((part) => part.type === "tool-call" && requestFor(part, [request]) !== undefined));
}

function requestFor({ toolCallId, toolName }: ToolCallPart, requests: readonly WaitingRequest[]): WaitingRequest | undefined {
  return requests.find((request) => {
    const approval = toolApprovalOf(request);
    return approval?.toolCallId === toolCallId && approval.toolName === toolName;
  });
}

/** The call as `fromUIMessages` makes it of one that waits. */
function withApproval(call: ToolCallPart, { requestId, decision }: WaitingRequest): ToolCallPart {
  const denial = decision === undefined ? undefined : denialOf(decision);
  const approval = { id: requestId, ...(decision === undefined ? {} : { approved: denial === undefined, ...denial }) };
  return { ...call, providerOptions: { ...call.providerOptions, [OWN]: { ...ownOf(call.providerOptions), approval } } };
}

/** What a model said of where its answer comes from, as the collector of answers stores it. */
function sourcePart(data: Json): Extract<UIPart, { sourceId: string }> | undefined {
  if (!isRecord(data)) return undefined;
  const { sourceType, id, url, title, mediaType, filename, ...more } = data;
  if (typeof id !== "string" || Object.keys(more).length > 0) return undefined;
  if (sourceType === "url" && typeof url === "string" && mediaType === undefined && filename === undefined && isTextOrNone(title))
    return { type: "source-url", sourceId: id, url, ...(title === undefined ? {} : { title }) };
  if (
    sourceType !== "document" ||
    url !== undefined ||
    typeof mediaType !== "string" ||
    typeof title !== "string" ||
    !isTextOrNone(filename)
  )
    return undefined;
  return { type: "source-document", sourceId: id, mediaType, title, ...(filename === undefined ? {} : { filename }) };
}

function isTextOrNone(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}

interface Approval {
  readonly id: string;
  readonly approved?: boolean;
  readonly reason?: string;
}

function toolState(call: ToolCallPart, result: ToolResultPart | undefined, byProvider: boolean): UIToolState {
  const { approval, ...own } = ownOf(call.providerOptions);
  // The approval has a place of its own in UI messages.
  const carried = { ...call.providerOptions };
  delete carried[OWN];
  const callMetadata = metadataOf({ providerOptions: carried }, own as { readonly [key: string]: Json });
  const base = {
    toolCallId: call.toolCallId,
    input: call.input as UIJson,
    ...(byProvider ? { providerExecuted: true } : {}),
    ...(callMetadata === undefined ? {} : { callProviderMetadata: callMetadata }),
  };
  const asked = isRecord(approval) && typeof approval["id"] === "string" ? (approval as unknown as Approval) : undefined;
  if (result === undefined) {
    if (asked === undefined) return { ...base, state: "input-available" };
    return asked.approved === undefined
      ? { ...base, state: "approval-requested", approval: { ...asked } }
      : { ...base, state: "approval-responded", approval: asked as Approval & { approved: boolean } };
  }
  const { output } = result;
  if (output.type === "execution-denied") {
    const { reason } = output;
    const denied = { ...asked, id: asked?.id ?? call.toolCallId, approved: false as const };
    return { ...base, state: "output-denied", approval: reason === undefined ? denied : { ...denied, reason } };
  }
  const granted = asked?.approved === true ? { approval: asked as Approval & { approved: true } } : {};
  const { shown, own: exact } = shownOutput(output);
  const metadata = metadataOf(result, exact);
  return { ...base, ...shown, ...granted, ...(metadata === undefined ? {} : { resultProviderMetadata: metadata }) };
}

type Shown = { state: "output-available"; output: UIJson } | { state: "output-error"; errorText: string };

/** UI messages know texts, JSON and error texts; what was another kind is told beside it, so that it comes back. */
function shownOutput(output: Exclude<ToolOutput, { readonly type: "execution-denied" }>): {
  readonly shown: Shown;
  readonly own?: { readonly [key: string]: Json };
} {
  switch (output.type) {
    case "text":
      return { shown: { state: "output-available", output: output.value } };
    case "json": {
      const shown: Shown = { state: "output-available", output: output.value as UIJson };
      return typeof output.value === "string" ? { shown, own: { output: "json" } } : { shown };
    }
    case "content":
      return { shown: { state: "output-available", output: output as unknown as UIJson }, own: { output: "content" } };
    case "error-text":
      return { shown: { state: "output-error", errorText: output.value } };
    case "error-json":
      return { shown: { state: "output-error", errorText: JSON.stringify(output.value) }, own: { output: "error-json" } };
    default: {
      const { reason } = output;
      const errorText = `Interrupted, outcome unknown${reason === undefined ? "" : `: ${reason}`}`;
      return { shown: { state: "output-error", errorText }, own: { output: "interrupted", ...(reason === undefined ? {} : { reason }) } };
    }
  }
}
