import type { Json, MessageDraft, Part, ProviderCarry, ToolOutput } from "@aixgo/core";
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
import { OWN, ownOf } from "./ui-message.ts";

/** A model message of the AI SDK; what its content holds is checked when it is read. */
export interface ModelMessageInput {
  readonly role: string;
  readonly content: unknown;
  readonly providerOptions?: unknown;
}

/** The parts that a role may have. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  system: ["text"],
  user: ["text", "image", "file"],
  assistant: ["text", "reasoning", "file", "tool-call", "tool-result", "tool-approval-request"],
  tool: ["tool-result", "tool-approval-response"],
};

type Draft = { -readonly [K in keyof MessageDraft]: MessageDraft[K] } & { parts: Part[] };
/** Where a call lies that a person was asked about. */
type Asked = Map<string, { readonly parts: Part[]; readonly index: number }>;

/**
 * Model messages of the AI SDK (`response.messages` of `generateText`, another framework's history) as messages of ours, to be
 * appended to a session. Binary data becomes a `data:` address. What a message carries for its provider goes to its last part. An
 * approval stays with its call.
 *
 * @throws AixgoError `INVALID_INPUT` naming the message and the part, for parts of unknown type and whatever cannot be stored
 */
export function fromModelMessages(messages: readonly ModelMessageInput[]): MessageDraft[] {
  const asked: Asked = new Map();
  const drafts = list(messages, { text: "fromModelMessages: messages" }).map((message, index) => {
    const place: Place = { text: `fromModelMessages: messages[${index}]` };
    const { role, content, providerOptions } = foreign(message, place);
    const kinds = typeof role === "string" && Object.hasOwn(KINDS, role) ? KINDS[role] : undefined;
    if (kinds === undefined) throw refused(inside(place, ".role"), "is not system, user, assistant or tool");
    const draft: Draft = { role: role as MessageDraft["role"], parts: [] };
    if (typeof content === "string") draft.parts.push({ type: "text", text: content });
    else
      list(content, inside(place, ".content")).forEach((part, at) => {
        const here = inside(place, `.content[${at}]`);
        const given = foreign(part, here);
        if (!kinds.includes(given["type"] as string))
          throw refused(
            here,
            `is of type ${shown(given["type"])}, which a message of ${String(role)} cannot keep; known are ${kinds.join(", ")}`,
          );
        take(draft, given, here, asked);
      });
    return { draft, place, carried: carry(providerOptions, inside(place, ".providerOptions")) };
  });
  return (
    drafts
      .map(({ draft, place, carried }) => ({ draft: withCarry(draft, carried), place }))
      // A tool's message that only held answers to approvals says nothing of its own.
      .filter(({ draft }) => draft.role !== "tool" || draft.parts.length > 0)
      .map(({ draft, place }) => checked(draft, place))
  );
}

function withCarry(draft: Draft, { providerOptions }: ProviderCarry): Draft {
  const last = draft.parts.at(-1);
  if (providerOptions === undefined || last === undefined) return draft;
  return { ...draft, parts: [...draft.parts.slice(0, -1), { ...last, providerOptions: { ...providerOptions, ...last.providerOptions } }] };
}

function take(draft: Draft, part: Foreign, place: Place, asked: Asked): void {
  const { type } = part;
  const carried = carry(part["providerOptions"], inside(place, ".providerOptions"));
  switch (type) {
    case "text":
    case "reasoning":
      draft.parts.push({ type, text: string(part["text"], inside(place, ".text")), ...carried });
      return;
    case "image":
    case "file": {
      const member = type === "image" ? "image" : "data";
      const mediaType =
        type === "image" && part["mediaType"] === undefined ? "image/*" : name(part["mediaType"], inside(place, ".mediaType"));
      const filename = part["filename"] === undefined ? {} : { filename: string(part["filename"], inside(place, ".filename")) };
      draft.parts.push({
        type: "file",
        mediaType,
        url: dataUrl(part[member], mediaType, inside(place, `.${member}`)),
        ...filename,
        ...carried,
      });
      return;
    }
    case "tool-call":
      draft.parts.push({
        type,
        ...named(part, place),
        input: part["input"] === undefined ? {} : json(part["input"], inside(place, ".input")),
        ...carried,
      });
      return;
    case "tool-result":
      draft.parts.push({
        type,
        ...named(part, place),
        output: readOutput(foreign(part["output"], inside(place, ".output")), inside(place, ".output")),
        ...carried,
      });
      return;
    case "tool-approval-request": {
      const toolCallId = name(part["toolCallId"], inside(place, ".toolCallId"));
      const index = draft.parts.findIndex((each) => each.type === "tool-call" && each.toolCallId === toolCallId);
      if (index < 0) throw refused(inside(place, ".toolCallId"), "is of no call before it in the message");
      const { type: _type, approvalId, toolCallId: _id, ...more } = part;
      const id = name(approvalId, inside(place, ".approvalId"));
      asked.set(id, { parts: draft.parts, index });
      approve(asked, id, { id, ...(json(more, place) as { readonly [key: string]: Json }) });
      return;
    }
    default: {
      const id = name(part["approvalId"], inside(place, ".approvalId"));
      if (!asked.has(id)) throw refused(inside(place, ".approvalId"), "is of no approval that was asked for before it");
      if (typeof part["approved"] !== "boolean") throw refused(inside(place, ".approved"), "is not true or false");
      const reason = part["reason"] === undefined ? {} : { reason: string(part["reason"], inside(place, ".reason")) };
      approve(asked, id, { approved: part["approved"], ...reason });
    }
  }
}

/** Adds to what is known of an approval, at its call. */
function approve(asked: Asked, id: string, more: { readonly [key: string]: Json }): void {
  const at = asked.get(id);
  const call = at?.parts[at.index];
  if (at === undefined || call === undefined) return;
  const own = ownOf(call.providerOptions) as { readonly [key: string]: Json };
  const before = isRecord(own["approval"]) ? own["approval"] : {};
  at.parts[at.index] = {
    ...call,
    providerOptions: { ...call.providerOptions, [OWN]: { ...own, approval: { ...before, ...more } as Json } },
  };
}

function named(part: Foreign, place: Place): { readonly toolCallId: string; readonly toolName: string } {
  return {
    toolCallId: name(part["toolCallId"], inside(place, ".toolCallId")),
    toolName: name(part["toolName"], inside(place, ".toolName")),
  };
}

/** An address, base64 or bytes. */
function dataUrl(data: unknown, mediaType: string, place: Place): string {
  if (data instanceof URL || (typeof data === "string" && /^[a-z][a-z0-9+.-]{0,31}:/i.test(data))) return fileUrl(data, place);
  if (data instanceof ArrayBuffer) return dataUrl(new Uint8Array(data), mediaType, place);
  const base64 = ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") : data;
  return `data:${mediaType};base64,${string(base64, place)}`;
}

function readOutput(output: Foreign, place: Place): ToolOutput {
  const { type, value, reason } = output;
  switch (type) {
    case "text":
    case "error-text":
      return { type, value: string(value, inside(place, ".value")) };
    case "json":
    case "error-json":
      return { type, value: json(value, inside(place, ".value")) };
    case "execution-denied":
      return { type, ...(reason === undefined ? {} : { reason: string(reason, inside(place, ".reason")) }) };
    case "content":
      return {
        type,
        value: list(value, inside(place, ".value")).map((part, index) => {
          const at = inside(place, `.value[${index}]`);
          return contentPart(foreign(part, at), at);
        }),
      };
    default:
      throw refused(inside(place, ".type"), `is ${shown(type)}, which is no output of a tool`);
  }
}

function contentPart(part: Foreign, place: Place): Part {
  const { type } = part;
  const carried = carry(part["providerOptions"], inside(place, ".providerOptions"));
  switch (type) {
    case "text":
      return { type, text: string(part["text"], inside(place, ".text")), ...carried };
    case "media":
    case "file-data":
    case "image-data": {
      const mediaType = name(part["mediaType"], inside(place, ".mediaType"));
      const filename = part["filename"] === undefined ? {} : { filename: string(part["filename"], inside(place, ".filename")) };
      return { type: "file", mediaType, url: dataUrl(part["data"], mediaType, inside(place, ".data")), ...filename, ...carried };
    }
    case "file-url":
    case "image-url": {
      const standard = type === "image-url" ? "image/*" : "application/octet-stream";
      const mediaType = part["mediaType"] === undefined ? standard : name(part["mediaType"], inside(place, ".mediaType"));
      return { type: "file", mediaType, url: fileUrl(part["url"], inside(place, ".url")), ...carried };
    }
    default:
      throw refused(
        place,
        `is of type ${shown(type)}, which cannot be kept: it lives at the provider; known are text, file-data, image-data, media, file-url, image-url`,
      );
  }
}

function shown(type: unknown): string {
  return JSON.stringify(type)?.slice(0, 100) ?? typeof type;
}
