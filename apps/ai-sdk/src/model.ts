import type { LanguageModelV3CallOptions, LanguageModelV3StreamPart } from "@ai-sdk/provider";
import { simulateReadableStream } from "ai";
import { MockLanguageModelV3 } from "ai/test";

const CITIES = ["Oslo", "Rome"];

/**
 * Stands in for a language model: no network, no chance. It decides from the prompt alone, so that a second process that is given the
 * same conversation goes on where the first was killed. Put any model of the AI SDK in its place.
 */
export function createModel(): MockLanguageModelV3 {
  return new MockLanguageModelV3({
    modelId: "offline",
    doStream: async ({ prompt }) => ({ stream: simulateReadableStream({ chunks: chunksOf(decide(prompt)) }) }),
  });
}

type Prompt = LanguageModelV3CallOptions["prompt"];
type Decision = { readonly text: string } | { readonly call: string; readonly city: string };

function decide(prompt: Prompt): Decision {
  const questions = prompt.flatMap(({ role, content }) =>
    role === "user" ? [content.map((part) => (part.type === "text" ? part.text : "")).join("")] : [],
  );
  if (!/warmer/.test(questions.at(-1) ?? "")) return { text: `You first asked: ${questions[0] ?? ""}` };
  const degrees = resultsOf(prompt);
  const next = CITIES.find((city) => !degrees.has(city));
  if (next !== undefined) return { call: `weather-${next}`, city: next };
  const [cold, warm] = [...degrees].sort(([, a], [, b]) => a - b) as [[string, number], [string, number]];
  return { text: `It is warmer in ${warm[0]}: ${warm[1]} °C, against ${cold[1]} °C in ${cold[0]}.` };
}

function resultsOf(prompt: Prompt): Map<string, number> {
  const degrees = new Map<string, number>();
  for (const { role, content } of prompt) {
    if (role !== "tool") continue;
    for (const part of content) {
      if (part.type !== "tool-result" || part.output.type !== "json") continue;
      const { city, degrees: found } = part.output.value as { readonly city: string; readonly degrees: number };
      degrees.set(city, found);
    }
  }
  return degrees;
}

function chunksOf(decision: Decision): LanguageModelV3StreamPart[] {
  const usage = {
    inputTokens: { total: 10, noCache: 10, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 10, text: 10, reasoning: undefined },
  };
  const start: LanguageModelV3StreamPart = { type: "stream-start", warnings: [] };
  if ("call" in decision) {
    return [
      start,
      { type: "tool-call", toolCallId: decision.call, toolName: "weather", input: JSON.stringify({ city: decision.city }) },
      { type: "finish", finishReason: { unified: "tool-calls", raw: undefined }, usage },
    ];
  }
  return [
    start,
    { type: "text-start", id: "1" },
    ...(decision.text.match(/\s*\S+/g) ?? []).map((delta): LanguageModelV3StreamPart => ({ type: "text-delta", id: "1", delta })),
    { type: "text-end", id: "1" },
    { type: "finish", finishReason: { unified: "stop", raw: undefined }, usage },
  ];
}
