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
export type FilePart = ProviderCarry & { readonly type: "file"; readonly mediaType: string; readonly url: string; readonly filename?: string };
export type ToolCallPart = ProviderCarry & { readonly type: "tool-call"; readonly toolCallId: string; readonly toolName: string; readonly input: Json };
export type ToolResultPart = ProviderCarry & { readonly type: "tool-result"; readonly toolCallId: string; readonly toolName: string; readonly output: ToolOutput };
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
