import { setTimeout as delay } from "node:timers/promises";
import { AixgoError, type Json } from "@aixgo/core";
import type { LanguageModel } from "./model.ts";

/** One answer of a scripted model. */
export interface ScriptedStep {
  /** A list is streamed as it is, a text in pieces of a few characters. */
  readonly text?: string | readonly string[];
  readonly reasoning?: string | readonly string[];
  /** `input` is sent as JSON; a text is sent as it is, so that broken JSON can be sent. */
  readonly toolCalls?: readonly { readonly toolName: string; readonly input?: Json; readonly toolCallId?: string }[];
  readonly finishReason?: "stop" | "length" | "content-filter" | "tool-calls" | "error" | "other";
  readonly usage?: { readonly inputTokens?: number; readonly outputTokens?: number };
  /** Before each part of the stream, in milliseconds. */
  readonly delayMs?: number;
  /** Thrown by `doStream`, in place of an answer. */
  readonly error?: unknown;
  /** Raw stream parts, in place of all above. */
  readonly stream?: readonly unknown[];
}

/** What a model is called with; the fields that tests look at. */
export interface ScriptedCall {
  // oxlint-disable-next-line typescript/no-explicit-any -- the content differs from role to role and version to version; tests read it as plain data
  readonly prompt: readonly { readonly role: string; readonly content: any; readonly providerOptions?: unknown }[];
  readonly tools?: readonly { readonly name: string; readonly description?: string; readonly inputSchema: Json }[];
  readonly abortSignal?: AbortSignal;
  readonly [setting: string]: unknown;
}

export interface ScriptedModel extends LanguageModel {
  /** Every call that was made, in order. */
  readonly calls: readonly ScriptedCall[];
}

/** The pieces of a text that is not given in pieces. */
const PIECE = 8;

/**
 * A model without a provider, for tests: answers with the given steps in order, always the same way. A step may be a function of
 * the call, for answers that depend on the prompt. A call beyond the last step fails.
 */
export function createScriptedModel(
  steps: readonly (ScriptedStep | string | ((call: ScriptedCall, index: number) => ScriptedStep | string))[],
  options: { readonly specificationVersion?: "v3" | "v4"; readonly modelId?: string } = {},
): ScriptedModel {
  const calls: ScriptedCall[] = [];
  return {
    specificationVersion: options.specificationVersion ?? "v3",
    provider: "scripted",
    modelId: options.modelId ?? "scripted-model",
    calls,
    async doStream(call: ScriptedCall): Promise<{ stream: ReadableStream<unknown> }> {
      const index = calls.push(call) - 1;
      call.abortSignal?.throwIfAborted();
      const entry = steps[index];
      if (entry === undefined)
        throw new AixgoError("INVALID_INPUT", `the scripted model has ${steps.length} steps and was called once more`);
      const given = typeof entry === "function" ? entry(call, index) : entry;
      const step: ScriptedStep = typeof given === "string" ? { text: given } : given;
      if (step.error !== undefined) throw step.error;
      return { stream: streamOf(step.stream ?? partsOf(step, index), step.delayMs ?? 0, call.abortSignal) };
    },
  };
}

function partsOf(step: ScriptedStep, index: number): unknown[] {
  const { text, reasoning, toolCalls = [], usage } = step;
  const parts: unknown[] = [{ type: "stream-start", warnings: [] }];
  for (const [type, given] of [
    ["reasoning", reasoning],
    ["text", text],
  ] as const) {
    if (given === undefined) continue;
    const id = `${type}-${index}`;
    parts.push({ type: `${type}-start`, id });
    for (const delta of typeof given === "string" ? pieces(given) : given) parts.push({ type: `${type}-delta`, id, delta });
    parts.push({ type: `${type}-end`, id });
  }
  for (const [at, { toolName, input = {}, toolCallId = `call-${index}-${at}` }] of toolCalls.entries()) {
    parts.push({ type: "tool-call", toolCallId, toolName, input: typeof input === "string" ? input : JSON.stringify(input) });
  }
  const reason = step.finishReason ?? (toolCalls.length === 0 ? "stop" : "tool-calls");
  parts.push({
    type: "finish",
    finishReason: { unified: reason, raw: reason },
    usage: {
      inputTokens: { total: usage?.inputTokens, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
      outputTokens: { total: usage?.outputTokens, text: undefined, reasoning: undefined },
    },
  });
  return parts;
}

function pieces(text: string): string[] {
  const characters = Array.from(text);
  return Array.from({ length: Math.ceil(characters.length / PIECE) }, (_, index) =>
    characters.slice(index * PIECE, (index + 1) * PIECE).join(""),
  );
}

/** Hands out a part when it is asked for; fails as a provider does when the call is aborted. */
function streamOf(parts: readonly unknown[], delayMs: number, signal: AbortSignal | undefined): ReadableStream<unknown> {
  let next = 0;
  return new ReadableStream<unknown>(
    {
      async pull(controller) {
        if (delayMs > 0) await delay(delayMs, undefined, signal === undefined ? {} : { signal });
        signal?.throwIfAborted();
        if (next === parts.length) controller.close();
        else controller.enqueue(parts[next++]);
      },
    },
    { highWaterMark: 0 },
  );
}
