import type { Message } from "@aixgo/core";
import { ownMessages } from "./foreign-message.ts";
import { isRecord } from "./json.ts";
import { promptOf } from "./prompt.ts";
import type { UIJson, UIProviderMetadata } from "./ui-message.ts";

type Carry = { providerOptions?: UIProviderMetadata };
type Text<T extends string> = Carry & { type: T; text: string };
type File = Carry & { type: "file"; mediaType: string; data: string | URL; filename?: string };
type Call = Carry & { type: "tool-call"; toolCallId: string; toolName: string; input: UIJson; providerExecuted?: boolean };
type Content =
  | Text<"text">
  | (Carry & { type: "file-data" | "image-data"; data: string; mediaType: string })
  | (Carry & { type: "file-url" | "image-url"; url: string });
type Output =
  | { type: "text" | "error-text"; value: string }
  | { type: "json" | "error-json"; value: UIJson }
  | { type: "execution-denied"; reason?: string }
  | { type: "content"; value: Content[] };
type Result = Carry & { type: "tool-result"; toolCallId: string; toolName: string; output: Output };

/** A message for `generateText` and its like, in the shape that this package makes. Fits the AI SDK's type `ModelMessage`. */
export type AIModelMessage =
  | (Carry & { role: "system"; content: string })
  | (Carry & { role: "user"; content: (Text<"text"> | File)[] })
  | (Carry & { role: "assistant"; content: (Text<"text"> | Text<"reasoning"> | File | Call | Result)[] })
  | (Carry & { role: "tool"; content: Result[] });

/**
 * A conversation as model messages of the AI SDK, for `generateText` and its like. What is true of an agent's prompt is true of
 * it: each call is followed by exactly one result, a call without a result is told as interrupted, ids are unique, system
 * messages come first; `data-…` parts, empty messages and results without a call are left out.
 *
 * @throws AixgoError `INVALID_INPUT` for what is no message of ours, naming the place
 */
export function toModelMessages(messages: readonly Pick<Message, "role" | "parts">[]): AIModelMessage[] {
  return promptOf(ownMessages(messages, "toModelMessages"), "v3").map((message) => clean(message) as AIModelMessage);
}

/** The AI SDK wants provider data to be an object for each provider; what is not is left out. */
function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean);
  if (!isRecord(value) || value instanceof URL) return value;
  const { providerOptions, content, ...rest } = value;
  const options = isRecord(providerOptions) ? Object.entries(providerOptions).filter(([, data]) => isRecord(data)) : [];
  return {
    ...rest,
    ...(content === undefined ? undefined : { content: clean(content) }),
    ...(options.length === 0 ? undefined : { providerOptions: Object.fromEntries(options) }),
  };
}
