import type { Message, Usage } from "@aixgo/core";
import type { Answer } from "./answer.ts";
import { isRecord } from "./json.ts";

/** Counts that are not known stay so: nothing is taken for 0. */
export function addUsage(before: Usage | undefined, more: Usage | undefined): Usage | undefined {
  if (before === undefined || more === undefined) return before ?? more;
  const inputTokens = added(before.inputTokens, more.inputTokens);
  const outputTokens = added(before.outputTokens, more.outputTokens);
  return { ...(inputTokens === undefined ? undefined : { inputTokens }), ...(outputTokens === undefined ? undefined : { outputTokens }) };
}

function added(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : a + b;
}

/**
 * The message of a step with what the step cost in its metadata: a turn that is continued by another process counts the steps of
 * the one before, too. The cost of the answer itself is recorded with the turn's end.
 */
export function recordUsage({ message, usage }: Answer): Answer["message"] {
  return usage === undefined ? message : { ...message, metadata: { ...message.metadata, usage: { ...usage } } };
}

/** What `recordUsage` recorded. */
export function recordedUsage({ role, metadata }: Pick<Message, "role" | "metadata">): Usage | undefined {
  return role === "assistant" ? readUsage(metadata?.["usage"]) : undefined;
}

/** Usage that was stored as JSON. */
export function readUsage(usage: unknown): Usage | undefined {
  if (!isRecord(usage)) return undefined;
  const { inputTokens, outputTokens } = usage;
  return {
    ...(isCount(inputTokens) ? { inputTokens } : undefined),
    ...(isCount(outputTokens) ? { outputTokens } : undefined),
  };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
