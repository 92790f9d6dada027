import type { UIMessageInput } from "@aixgo/agents";
import { AixgoError } from "@aixgo/core";

/** What the client sends: the last message of the chat instead of all of them. */
export interface Sent {
  /** Of the chat. */
  readonly id: string;
  readonly message: UIMessageInput;
  /** Another answer to a question that has one. */
  readonly again: boolean;
}

/** The id of a chat. Without a colon: it is the last part of its session's key. */
export function chatId(id: unknown): string {
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id))
    throw new AixgoError("INVALID_INPUT", "id must be the id of a chat: 1 to 64 letters, digits, _ and -");
  return id;
}

/** @throws AixgoError `INVALID_INPUT`, naming the member */
export function sentIn(body: unknown): Sent {
  if (typeof body !== "object" || body === null) throw new AixgoError("INVALID_INPUT", "the body must be JSON: { id, message, trigger? }");
  const { id: given, message, trigger = "submit-message" } = body as { readonly [key: string]: unknown };
  const id = chatId(given);
  if (typeof message !== "object" || message === null)
    throw new AixgoError("INVALID_INPUT", "message must be the last message of the chat; see prepareSendMessagesRequest");
  if (trigger !== "submit-message" && trigger !== "regenerate-message")
    throw new AixgoError("INVALID_INPUT", "trigger must be submit-message or regenerate-message");
  return { id, message: message as UIMessageInput, again: trigger === "regenerate-message" };
}
