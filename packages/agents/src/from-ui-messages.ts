import type { Json, MessageDraft, Part, ToolCallPart, ToolOutput, ToolResultPart } from "@aixgo/core";
import {
  carry,
  checked,
  fileUrl,
  foreign,
  type Foreign,
  inside,
  json,
  list,
  name,
  type Place,
  refused,
  string,
} from "./foreign-message.ts";
import { isRecord } from "./json.ts";
import { ownOf } from "./ui-message.ts";

/** A message as `useChat` of the AI SDK sends it; what its parts hold is checked when they are read. */
export interface UIMessageInput {
  readonly id?: string;
  readonly role: string;
  readonly parts: readonly unknown[];
  readonly metadata?: unknown;
}

const KINDS = ["text", "reasoning", "file", "source-url", "source-document", "step-start", "data-…", "tool-…", "dynamic-tool"];
const ROLES: ReadonlySet<unknown> = new Set(["system", "user", "assistant"]);

/**
 * UI messages of the AI SDK as messages of ours: to be handed to a call (`fromUIMessages([last])[0]`), or appended to a session.
 *
 * An assistant's message becomes one message for each step and one with the results of its calls. What is not finished is left
 * out: a call whose input still streams, a preliminary result. An approval stays with its call. `title` and `toolMetadata` of
 * tool parts are the UI's own and are left out.
 *
 * @throws AixgoError `INVALID_INPUT` naming the message and the part, for parts of unknown type and whatever cannot be stored
 */
export function fromUIMessages(messages: readonly UIMessageInput[]): MessageDraft[] {
  return list(messages, { text: "fromUIMessages: messages" }).flatMap((message, index) => {
    const place: Place = { text: `fromUIMessages: messages[${index}]` };
    const { id, role, parts, metadata } = foreign(message, place);
    if (!ROLES.has(role)) throw refused(inside(place, ".role"), "is not system, user or assistant");
    const drafts = role === "assistant" ? steps(parts, place) : [{ role: role as "user", parts: plainParts(parts, place) }];
    const named = drafts.findLastIndex((draft) => draft.role === role);
    return drafts.map((draft, at) => {
      if (at !== named) return checked(draft, place);
      const more =
        metadata === undefined || metadata === null
          ? {}
          : { metadata: json(metadata, inside(place, ".metadata")) as Foreign as { [key: string]: Json } };
      // An id that is not there yet: `useChat` sends "" before it knows one.
      return checked({ ...draft, ...(id === undefined || id === "" ? {} : { id: name(id, inside(place, ".id")) }), ...more }, place);
    });
  });
}

function plainParts(parts: unknown, place: Place): Part[] {
  return list(parts, inside(place, ".parts")).flatMap((part, index): Part[] => {
    const at = inside(place, `.parts[${index}]`);
    const given = foreign(part, at);
    if (isTool(given)) throw refused(at, `is a tool's part, which only an assistant's message has`);
    return given["type"] === "step-start" ? [] : [plainPart(given, at)];
  });
}

function steps(parts: unknown, place: Place): MessageDraft[] {
  const drafts: MessageDraft[] = [];
  let said: Part[] = [];
  let results: ToolResultPart[] = [];
  const close = (): void => {
    if (said.length > 0) drafts.push({ role: "assistant", parts: said });
    if (results.length > 0) drafts.push({ role: "tool", parts: results });
    said = [];
    results = [];
  };
  list(parts, inside(place, ".parts")).forEach((part, index) => {
    const at = inside(place, `.parts[${index}]`);
    const given = foreign(part, at);
    if (given["type"] === "step-start") close();
    else if (!isTool(given)) said.push(plainPart(given, at));
    else if (given["state"] !== "input-streaming") {
      const call = callPart(given, at);
      const result = resultPart(given, call, at);
      said.push(call);
      if (result !== undefined) (given["providerExecuted"] === true ? said : results).push(result);
    }
  });
  close();
  return drafts;
}

function isTool({ type }: Foreign): boolean {
  return typeof type === "string" && (type === "dynamic-tool" || (type.startsWith("tool-") && type.length > 5));
}

function plainPart(part: Foreign, place: Place): Part {
  const { type } = part;
  const carried = carry(part["providerMetadata"], inside(place, ".providerMetadata"));
  switch (type) {
    case "text":
    case "reasoning":
      return { type, text: string(part["text"], inside(place, ".text")), ...carried };
    case "file": {
      const filename = part["filename"] === undefined ? {} : { filename: string(part["filename"], inside(place, ".filename")) };
      const mediaType = name(part["mediaType"], inside(place, ".mediaType"));
      return { type, mediaType, url: fileUrl(part["url"], inside(place, ".url")), ...filename, ...carried };
    }
    case "source-url":
    case "source-document": {
      const { type: _type, sourceId, providerMetadata: _metadata, ...source } = part;
      const data = { sourceType: type.slice(7), id: name(sourceId, inside(place, ".sourceId")), ...source };
      return { type: "data-source", data: json(data, place), ...carried };
    }
    default: {
      if (typeof type !== "string" || !type.startsWith("data-") || type.length === 5)
        throw refused(place, `is of type ${JSON.stringify(type)?.slice(0, 100)}, which cannot be kept; known are ${KINDS.join(", ")}`);
      const data = part["data"] === undefined ? null : json(part["data"], inside(place, ".data"));
      const id = part["id"] === undefined ? {} : { id: string(part["id"], inside(place, ".id")) };
      return { type: type as `data-${string}`, data, ...id };
    }
  }
}

function callPart(part: Foreign, place: Place): ToolCallPart {
  const { type, toolName, toolCallId, input, rawInput, approval } = part;
  const own =
    isOwnDenial(part) || approval === undefined || approval === null ? {} : { approval: json(approval, inside(place, ".approval")) };
  const asked = input === undefined ? rawInput : input;
  return {
    type: "tool-call",
    toolCallId: name(toolCallId, inside(place, ".toolCallId")),
    toolName: type === "dynamic-tool" ? name(toolName, inside(place, ".toolName")) : (type as string).slice(5),
    input: asked === undefined ? {} : json(asked, inside(place, ".input")),
    ...carry(part["callProviderMetadata"], inside(place, ".callProviderMetadata"), own),
  };
}

/** A denial without an approval before it: `toUIMessages` names it after its call, because UI messages want a name. */
function isOwnDenial({ state, approval, toolCallId }: Foreign): boolean {
  return state === "output-denied" && isRecord(approval) && approval["id"] === toolCallId;
}

function resultPart(part: Foreign, { toolCallId, toolName }: ToolCallPart, place: Place): ToolResultPart | undefined {
  const output = outputOf(part, place);
  if (output === undefined) return undefined;
  const { providerOptions } = carry(part["resultProviderMetadata"], inside(place, ".resultProviderMetadata"));
  const { aixgo: own, ...others } = providerOptions ?? {};
  const { output: _output, reason: _reason, ...rest } = isRecord(own) ? own : {};
  const kept = Object.keys(rest).length === 0 ? others : { ...others, aixgo: rest };
  return { type: "tool-result", toolCallId, toolName, output, ...(Object.keys(kept).length === 0 ? {} : { providerOptions: kept }) };
}

function outputOf(part: Foreign, place: Place): ToolOutput | undefined {
  const { state, output, errorText, approval, preliminary } = part;
  const { output: exact, reason } = ownOf(part["resultProviderMetadata"]);
  switch (state) {
    case "input-available":
    case "approval-requested":
    case "approval-responded":
      return undefined;
    case "output-available": {
      if (preliminary === true) return undefined;
      const value = output === undefined ? null : json(output, inside(place, ".output"));
      if (exact === "content" && isRecord(value)) return { type: "content", value: value["value"] as unknown as readonly Part[] };
      return typeof value === "string" && exact !== "json" ? { type: "text", value } : { type: "json", value };
    }
    case "output-error": {
      const text = string(errorText, inside(place, ".errorText"));
      if (exact === "error-json") return { type: "error-json", value: parsed(text, place) };
      if (exact === "interrupted") return { type: "interrupted", ...(typeof reason === "string" ? { reason } : {}) };
      return { type: "error-text", value: text };
    }
    case "output-denied": {
      const why = isRecord(approval) ? approval["reason"] : undefined;
      return { type: "execution-denied", ...(typeof why === "string" ? { reason: why } : {}) };
    }
    default:
      throw refused(inside(place, ".state"), `is ${JSON.stringify(state)?.slice(0, 100)}, which is no state of a tool's part`);
  }
}

function parsed(text: string, place: Place): Json {
  try {
    return json(JSON.parse(text), place);
  } catch (cause) {
    throw refused(inside(place, ".errorText"), "is not the JSON that it was", cause);
  }
}
