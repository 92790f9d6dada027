import { setTimeout as delay } from "node:timers/promises";
import type { LanguageModel } from "@aixgo/agents";

/** Milliseconds between two words, for people to read along. */
const WORD_MS = 40;

/**
 * Stands in for a language model: no network, no chance. It adds, notes and removes notes with the tools, and otherwise says what it was
 * told before. Put any model of the AI SDK in its place.
 */
export function createOfflineModel(wordMs: number = WORD_MS): LanguageModel {
  return {
    specificationVersion: "v3",
    provider: "offline",
    modelId: "offline",
    doStream: async ({ prompt, abortSignal }: { readonly prompt: Prompt; readonly abortSignal?: AbortSignal }) => ({
      stream: ReadableStream.from(chunksOf(decide(prompt), wordMs, abortSignal)),
    }),
  };
}

type Content = string | readonly { readonly [key: string]: unknown }[];
type Prompt = readonly { readonly role: string; readonly content: Content }[];
interface Call {
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: object;
}
type Decision = { readonly text: string } | { readonly calls: readonly Call[] };
interface Result {
  readonly toolName?: unknown;
  readonly output?: { readonly type: string; readonly value?: unknown; readonly reason?: string };
}

function decide(prompt: Prompt): Decision {
  const asked = prompt.filter(({ role }) => role === "user").map(({ content }) => textOf(content));
  const last = prompt.at(-1);
  if (last?.role === "tool" && typeof last.content !== "string") return { text: last.content.map(told).join(" ") };
  const question = asked.at(-1) ?? "";
  const [, a, b] = /add (-?\d+) and (-?\d+)/i.exec(question) ?? [];
  if (a !== undefined && b !== undefined)
    return { calls: [{ toolCallId: `add-${a}-${b}`, toolName: "add", input: { a: Number(a), b: Number(b) } }] };
  const [, verb, things] = /^(note|remove) (\w+(?: and \w+)*)$/i.exec(question) ?? [];
  if (verb !== undefined && things !== undefined) {
    const toolName = verb.toLowerCase() === "note" ? "note" : "remove_note";
    return { calls: things.split(" and ").map((text) => ({ toolCallId: `${toolName}-${text}`, toolName, input: { text } })) };
  }
  const before = asked.slice(0, -1);
  return { text: before.length === 0 ? "This is the first thing you say." : `Before that you said: ${before.join(" | ")}` };
}

function told({ toolName, output }: Result): string {
  if (output?.type === "execution-denied") return output.reason === undefined ? "Not done." : `Not done: ${output.reason}.`;
  return toolName === "add" ? `The sum is ${String(output?.value)}.` : String(output?.value);
}

function textOf(content: Content): string {
  return typeof content === "string" ? content : content.map(({ text }) => (typeof text === "string" ? text : "")).join("");
}

async function* chunksOf(decision: Decision, wordMs: number, signal: AbortSignal | undefined): AsyncGenerator<object> {
  const usage = { inputTokens: { total: 0 }, outputTokens: { total: 0 } };
  yield { type: "stream-start", warnings: [] };
  if ("text" in decision) {
    yield { type: "text-start", id: "1" };
    for (const word of decision.text.match(/\s*\S+/g) ?? []) {
      if (wordMs > 0) await delay(wordMs, undefined, signal === undefined ? {} : { signal });
      yield { type: "text-delta", id: "1", delta: word };
    }
    yield { type: "text-end", id: "1" };
    yield { type: "finish", finishReason: { unified: "stop" }, usage };
    return;
  }
  for (const { input, ...call } of decision.calls) yield { type: "tool-call", ...call, input: JSON.stringify(input) };
  yield { type: "finish", finishReason: { unified: "tool-calls" }, usage };
}
