import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { LanguageModelV3CallOptions, LanguageModelV3Prompt, LanguageModelV3StreamPart } from "@ai-sdk/provider";
import type { LanguageModel } from "@aixgo/agents";
import { answerTo } from "./answer.ts";
import { intentsOf } from "./intents.ts";
import { Memory } from "./memory.ts";
import { planOf, type Call } from "./plan.ts";
import { readTranscript } from "./transcript.ts";

/**
 * A language model that needs no network: rules over the prompt, and nothing but the prompt. What it remembers, it remembers
 * because the agent hands it the conversation; what it works out, it asks of the tools. The same prompt gets the same answer.
 */
export function createOfflineModel(
  options: { /** Milliseconds between two words. @default 0 */ readonly delayMs?: number } = {},
): LanguageModel {
  const { delayMs = 0 } = options;
  return {
    specificationVersion: "v3",
    provider: "aixgo-offline",
    modelId: "offline",
    async doStream({ prompt, tools, abortSignal }: LanguageModelV3CallOptions) {
      abortSignal?.throwIfAborted();
      const next = nextStep(prompt, new Set((tools ?? []).map((tool) => tool.name)));
      const parts = typeof next === "string" ? spoken(next, delayMs, abortSignal) : asked(next, prompt);
      return { stream: ReadableStream.from(parts) };
    },
  };
}

/** The calls that are due, or the answer. */
export function nextStep(prompt: LanguageModelV3Prompt, tools: ReadonlySet<string>): readonly Call[] | string {
  const transcript = readTranscript(prompt);
  const intents = intentsOf(transcript.input);
  const { steps, due } = planOf(intents, transcript, tools);
  if (due.length > 0) return due;
  const memory = new Memory(transcript.earlier);
  for (const intent of intents) memory.learn(intent);
  return answerTo(steps, memory, transcript);
}

async function* spoken(text: string, delayMs: number, signal: AbortSignal | undefined): AsyncGenerator<LanguageModelV3StreamPart> {
  yield { type: "stream-start", warnings: [] };
  yield { type: "text-start", id: "0" };
  for (const delta of text.match(/\s*\S+|\s+$/g) ?? []) {
    if (delayMs > 0) await sleep(delayMs, undefined, signal === undefined ? undefined : { signal });
    signal?.throwIfAborted();
    yield { type: "text-delta", id: "0", delta };
  }
  yield { type: "text-end", id: "0" };
  yield finish("stop");
}

async function* asked(calls: readonly Call[], prompt: LanguageModelV3Prompt): AsyncGenerator<LanguageModelV3StreamPart> {
  yield { type: "stream-start", warnings: [] };
  // Another prompt, other ids; the same prompt again, the same ids.
  const digest = createHash("sha256").update(JSON.stringify(prompt)).digest("hex").slice(0, 12);
  for (const [index, { toolName, input }] of calls.entries()) {
    yield { type: "tool-call", toolCallId: `call-${digest}-${index}`, toolName, input: JSON.stringify(input) };
  }
  yield finish("tool-calls");
}

function finish(unified: "stop" | "tool-calls"): LanguageModelV3StreamPart {
  const unknown = undefined;
  return {
    type: "finish",
    finishReason: { unified, raw: unknown },
    usage: {
      inputTokens: { total: unknown, noCache: unknown, cacheRead: unknown, cacheWrite: unknown },
      outputTokens: { total: unknown, text: unknown, reasoning: unknown },
    },
  };
}
