import { randomFillSync } from "node:crypto";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Provider data that must come back unchanged with the part it was attached to (reasoning signatures, cache hints). */
export interface ProviderCarry {
  readonly providerOptions?: { readonly [provider: string]: Json };
}

export type ToolOutput =
  | { readonly type: "text" | "error-text"; readonly value: string }
  | { readonly type: "json" | "error-json"; readonly value: Json }
  | { readonly type: "content"; readonly value: readonly Part[] }
  | { readonly type: "execution-denied"; readonly reason?: string }
  | { readonly type: "interrupted"; readonly reason?: string };

export type TextPart = ProviderCarry & { readonly type: "text" | "reasoning"; readonly text: string };
/** `url` is a `data:`, `https:` or `attachment:` address. */
export type FilePart = ProviderCarry & {
  readonly type: "file";
  readonly mediaType: string;
  readonly url: string;
  readonly filename?: string;
};
export type ToolCallPart = ProviderCarry & {
  readonly type: "tool-call";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: Json;
};
export type ToolResultPart = ProviderCarry & {
  readonly type: "tool-result";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly output: ToolOutput;
};
export type DataPart = ProviderCarry & { readonly type: `data-${string}`; readonly data: Json };
/** Names and fields are those of the AI SDK's model messages; JSON only. */
export type Part = TextPart | FilePart | ToolCallPart | ToolResultPart | DataPart;

export type Role = "system" | "user" | "assistant" | "tool";

export interface Message {
  readonly id: string;
  readonly role: Role;
  readonly parts: readonly Part[];
  /** ISO 8601, by the clock of the process that stored or made the message. */
  readonly timestamp: string;
  readonly metadata?: { readonly [key: string]: Json };
}

/** What callers may hand over: a string is the user's text (from an agent: the assistant's). */
export type MessageInput = string | MessageDraft;
/** A message that need not have an id or a time yet. */
export type MessageDraft = Pick<Message, "role" | "parts"> & Partial<Message>;

/** A message of the user, with an id and a time. Not checked: the call it is given to does that. */
export function userMessage(content: string | readonly Part[], extra?: Partial<Message>): Message {
  return newMessage("user", content, extra);
}

/** A message of the assistant, with an id and a time. Not checked: whoever it is given to does that. */
export function assistantMessage(content: string | readonly Part[], extra?: Partial<Message>): Message {
  return newMessage("assistant", content, extra);
}

/** The text parts, joined; reasoning is not text. */
export function textOf(message: Pick<Message, "parts">): string {
  const { parts } = message;
  const only = parts[0];
  if (parts.length === 1 && only?.type === "text") return only.text;
  let text = "";
  for (const part of parts) if (part.type === "text") text += part.text;
  return text;
}

/** A checked draft with what it lacks: an id of ours, the time of now. */
export function completeMessage(draft: MessageDraft): Message {
  return {
    id: draft.id ?? newMessageId(),
    role: draft.role,
    parts: draft.parts,
    timestamp: draft.timestamp ?? nowIso(),
    ...(draft.metadata === undefined ? undefined : { metadata: draft.metadata }),
  };
}

function newMessage(role: Role, content: string | readonly Part[], extra: Partial<Message> | undefined): Message {
  const parts: readonly Part[] = typeof content === "string" ? [{ type: "text", text: content }] : content;
  return completeMessage({ role, parts, ...extra });
}

let lastMs = -1;
let lastIso = "";

/** The time of now. Writing it out costs more than the rest of a message: it is done once a millisecond. */
function nowIso(): string {
  const ms = Date.now();
  if (ms !== lastMs) {
    lastMs = ms;
    lastIso = new Date(ms).toISOString();
  }
  return lastIso;
}

const ID_BYTES = 12;
/** Random bytes are fetched for many ids at once: one request to the source costs more than the id. */
const pool = Buffer.alloc(ID_BYTES * 128);
let used = pool.length;

/** 12 random bytes as base64url. */
function newMessageId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += ID_BYTES;
  return pool.toString("base64url", used - ID_BYTES, used);
}
