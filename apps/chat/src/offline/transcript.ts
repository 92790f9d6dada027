import type { LanguageModelV3Message, LanguageModelV3Prompt, LanguageModelV3ToolResultOutput } from "@ai-sdk/provider";

export interface Said {
  readonly who: "user" | "assistant";
  readonly text: string;
}

/** What a tool answered. */
export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

/** All that the offline model knows: what the prompt says. */
export interface Transcript {
  /** Before the newest input, oldest first. */
  readonly earlier: readonly Said[];
  readonly input: string;
  /** Of the calls made for the newest input, by `callKey`. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** The newest result of the calculator before the input: what "that" means. */
  readonly lastNumber: number | undefined;
}

/** The same question to the same tool is the same call. */
export function callKey(toolName: string, input: unknown): string {
  return `${toolName} ${JSON.stringify(input)}`;
}

export function readTranscript(prompt: LanguageModelV3Prompt): Transcript {
  const at = prompt.findLastIndex((message) => message.role === "user");
  const earlier: Said[] = [];
  let lastNumber: number | undefined;
  for (const message of prompt.slice(0, Math.max(at, 0))) {
    const text = textOf(message);
    if ((message.role === "user" || message.role === "assistant") && text !== "") earlier.push({ who: message.role, text });
    for (const { toolName, outcome } of resultsIn(message)) {
      if (toolName === "calculator" && outcome.ok) lastNumber = numberIn(outcome.value) ?? lastNumber;
    }
  }
  const input = at < 0 ? "" : textOf(prompt[at]!);
  return { earlier, input, outcomes: outcomesOf(prompt.slice(at + 1)), lastNumber };
}

/** The `result` of a calculator's answer. */
export function numberIn(value: unknown): number | undefined {
  const result = (value as { result?: unknown } | null)?.result;
  return typeof result === "number" ? result : undefined;
}

function outcomesOf(steps: LanguageModelV3Prompt): ReadonlyMap<string, Outcome> {
  const keys = new Map<string, string>();
  const outcomes = new Map<string, Outcome>();
  for (const message of steps) {
    if (message.role === "assistant") {
      for (const part of message.content) if (part.type === "tool-call") keys.set(part.toolCallId, callKey(part.toolName, part.input));
    }
    for (const { toolCallId, outcome } of resultsIn(message)) {
      const key = keys.get(toolCallId);
      if (key !== undefined) outcomes.set(key, outcome);
    }
  }
  return outcomes;
}

function* resultsIn(message: LanguageModelV3Message): Generator<{ toolCallId: string; toolName: string; outcome: Outcome }> {
  if (message.role !== "tool") return;
  for (const part of message.content) {
    if (part.type === "tool-result") yield { toolCallId: part.toolCallId, toolName: part.toolName, outcome: outcomeOf(part.output) };
  }
}

function outcomeOf(output: LanguageModelV3ToolResultOutput): Outcome {
  switch (output.type) {
    case "json":
      return { ok: true, value: output.value };
    case "text":
      return { ok: true, value: jsonOr(output.value) };
    case "content":
      return { ok: true, value: output.value };
    case "error-text":
      return { ok: false, reason: output.value };
    case "error-json":
      return { ok: false, reason: JSON.stringify(output.value) };
    case "execution-denied":
      return { ok: false, reason: output.reason ?? "it was not allowed" };
  }
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function textOf(message: LanguageModelV3Message): string {
  if (typeof message.content === "string") return message.content;
  return message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
}
