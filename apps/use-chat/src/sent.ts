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

/** @throws AixgoError `INVALID_INPUT`, naming the member */
export function sentIn(body: unknown): Sent {
  const {
    id,
    message,
    trigger = "submit-message",
  } = (typeof body === "object" && body !== null ? body : {}) as { readonly [key: string]: unknown };
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id))
    throw new AixgoError("INVALID_INPUT", "id must be the id of a chat: 1 to 64 letters, digits, _ and -");
  if (typeof message !== "object" || message === null)
    throw new AixgoError("INVALID_INPUT", "message must be the last message of the chat; see prepareSendMessagesRequest");
  if (trigger !== "submit-message" && trigger !== "regenerate-message")
    throw new AixgoError("INVALID_INPUT", "trigger must be submit-message or regenerate-message");
  return { id, message: message as UIMessageInput, again: trigger === "regenerate-message" };
}
