import type { HistoryOptions, Message, Part, ToolCallPart, ToolResultPart } from "@aixgo/core";
import type { PathMessage } from "./tree.ts";

/**
 * Makes a path well-formed for a model, whatever was killed in the middle of it: a pure function of the path, done on every
 * read and never recorded.
 *
 * Right after each assistant message stand its stored results, then a result `interrupted` for each of its calls without
 * one. Results are matched up to the next assistant message; results without a call, and second results, are left out.
 */
export class OpenCallCloser {
  #step:
    | {
        readonly assistant: PathMessage;
        readonly open: Map<string, ToolCallPart>;
        readonly results: PathMessage[];
        readonly others: PathMessage[];
      }
    | undefined;

  /** Takes the next message of the path, and returns what can be told of the ones before. */
  push(next: PathMessage): readonly PathMessage[] {
    const { role, parts } = next.message;
    if (role === "assistant") {
      const before = this.flush();
      const open = new Map<string, ToolCallPart>();
      for (const part of parts) if (part.type === "tool-call") open.set(part.toolCallId, part);
      // Tools that the provider ran itself have their result in the same message.
      for (const part of parts) if (part.type === "tool-result") open.delete(part.toolCallId);
      if (open.size === 0) return [...before, next];
      this.#step = { assistant: next, open, results: [], others: [] };
      return before;
    }
    const step = this.#step;
    if (role !== "tool") {
      if (step === undefined) return [next];
      step.others.push(next);
      return [];
    }
    const kept = parts.filter((part) => part.type !== "tool-result" || step?.open.delete(part.toolCallId) === true);
    if (kept.length === 0) return [];
    const message =
      kept.length === parts.length ? next : { ...next, message: Object.freeze({ ...next.message, parts: Object.freeze(kept) }) };
    if (step === undefined) return [message];
    step.results.push(message);
    return [];
  }

  /** What is left at the end of the path. */
  flush(): readonly PathMessage[] {
    const step = this.#step;
    if (step === undefined) return [];
    this.#step = undefined;
    const { assistant, open, results, others } = step;
    const closed = [assistant, ...results];
    if (open.size > 0) closed.push({ ...assistant, message: interruptedResults(assistant.message, [...open.values()]) });
    return [...closed, ...others];
  }
}

function interruptedResults(assistant: Message, calls: readonly ToolCallPart[]): Message {
  const parts = calls.map(({ toolCallId, toolName }): ToolResultPart =>
    Object.freeze({
      type: "tool-result",
      toolCallId,
      toolName,
      output: Object.freeze({ type: "interrupted", reason: "the call ended without a stored result; its outcome is unknown" }),
    }),
  );
  return Object.freeze({
    id: `${assistant.id}.interrupted`,
    role: "tool",
    parts: Object.freeze(parts) as readonly Part[],
    timestamp: assistant.timestamp,
  });
}

/** The calls of the last assistant message that have no stored result; those of earlier ones can never get one. */
export function openCalls(path: readonly PathMessage[]): readonly ToolCallPart[] {
  const at = path.findLastIndex(({ message }) => message.role === "assistant");
  const open = new Map<string, ToolCallPart>();
  for (const part of path[at]?.message.parts ?? []) if (part.type === "tool-call") open.set(part.toolCallId, part);
  for (const { message } of path.slice(Math.max(at, 0))) {
    for (const part of message.parts) if (part.type === "tool-result") open.delete(part.toolCallId);
  }
  return [...open.values()];
}

/** The same for a path that is in memory. */
export function closeOpenCalls(path: readonly PathMessage[]): readonly PathMessage[] {
  if (
    !path.some(
      ({ message }) => message.role === "tool" || (message.role === "assistant" && message.parts.some((part) => part.type === "tool-call")),
    )
  )
    return path;
  const closer = new OpenCallCloser();
  const closed: PathMessage[] = [];
  for (const each of path) closed.push(...closer.push(each));
  closed.push(...closer.flush());
  return closed;
}

/**
 * Applies `roles` and `last` to a path. If its calls are closed, `last` is widened to the start of a step, so that no result loses
 * its call.
 */
export function select(
  closed: readonly PathMessage[],
  options: Pick<HistoryOptions, "last" | "roles"> & { readonly calls?: "closed" | "stored" },
): readonly PathMessage[] {
  const { roles, last, calls } = options;
  const chosen = roles === undefined ? closed : closed.filter(({ message }) => roles.includes(message.role));
  if (last === undefined || last >= chosen.length) return chosen;
  const start = chosen.length - last;
  return chosen.slice(calls === "stored" ? start : stepStart(chosen, start));
}

/** The index of the start of the step that the message at `index` belongs to. */
export function stepStart(messages: readonly PathMessage[], index: number): number {
  let start = index;
  while (start > 0 && start < messages.length && (messages[start] as PathMessage).message.role === "tool") start -= 1;
  return start;
}
