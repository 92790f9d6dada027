import { toUIMessages, type UIChatMessage } from "@aixgo/agents";
import type { Message, WaitingRequest } from "@aixgo/core";

/** The id of the UI message that answers a question: the same in a stream, in one that is resumed, and in the history. */
export function answerId(questionId: string): string {
  return `${questionId}.answer`;
}

/** A chat as `useChat` is given it, with the calls that wait for the user. What an answer that is not finished has come to so far is the message that its stream goes on with. */
export function chatMessages(messages: readonly Message[], requests: readonly WaitingRequest[]): UIChatMessage[] {
  const chat = toUIMessages(messages, { requests });
  return chat.map((message, index) => {
    const question = chat[index - 1];
    return message.role === "assistant" && question?.role === "user" ? { ...message, id: answerId(question.id) } : message;
  });
}
