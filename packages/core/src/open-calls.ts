import type { Message, ToolCallPart } from "./message.ts";

/** The calls of a turn's last step that have no result yet. One that only says `interrupted` is none. */
export function openCalls(steps: readonly Message[]): readonly ToolCallPart[] {
  const last = steps.findLastIndex(({ role }) => role === "assistant");
  const parts = steps.slice(Math.max(last, 0)).flatMap((step) => step.parts);
  const done = new Set(
    parts.map((part) => (part.type === "tool-result" && part.output.type !== "interrupted" ? part.toolCallId : undefined)),
  );
  return parts.filter((part) => part.type === "tool-call").filter(({ toolCallId }) => !done.has(toolCallId));
}
