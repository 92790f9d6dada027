import type { Json, Message, Part, ToolOutput, ToolResultPart } from "@aixgo/core";
import fc from "fast-check";

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as Json);
const toolName = fc.constantFrom("weather", "search_web", "pay-now");
const carry = fc.option(
  fc.dictionary(fc.constantFrom("anthropic", "openai"), fc.dictionary(fc.constantFrom("signature", "id"), fc.string(), { minKeys: 1 }), {
    minKeys: 1,
  }),
  { nil: undefined },
);
const withCarry = (part: fc.Arbitrary<Part>): fc.Arbitrary<Part> =>
  fc.tuple(part, carry).map(([value, providerOptions]) => (providerOptions === undefined ? value : { ...value, providerOptions }));

const textPart = withCarry(text.map((value): Part => ({ type: "text", text: value })));
const reasoning = withCarry(text.map((value): Part => ({ type: "reasoning", text: value })));
const filePart = withCarry(
  fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((bytes): Part => ({
      type: "file",
      mediaType: "image/png",
      url: `data:image/png;base64,${Buffer.from(bytes).toString("base64")}`,
    })),
    fc.constant<Part>({ type: "file", mediaType: "application/pdf", url: "https://example.test/a.pdf", filename: "a.pdf" }),
  ),
);
const dataPart = fc.oneof(
  json.map((data): Part => ({ type: "data-chart", data })),
  fc.constant<Part>({ type: "data-source", data: { sourceType: "url", id: "s", url: "https://example.test" } }),
);
const output: fc.Arbitrary<ToolOutput> = fc.oneof(
  text.map((value): ToolOutput => ({ type: "text", value })),
  text.map((value): ToolOutput => ({ type: "error-text", value })),
  json.map((value): ToolOutput => ({ type: "json", value })),
  json.map((value): ToolOutput => ({ type: "error-json", value })),
  fc
    .array(
      fc.oneof(
        text.map((value): Part => ({ type: "text", text: value })),
        filePart,
      ),
      { maxLength: 3 },
    )
    .map((value): ToolOutput => ({ type: "content", value })),
  fc
    .option(text, { nil: undefined })
    .map((reason): ToolOutput => ({ type: "execution-denied", ...(reason === undefined ? {} : { reason }) })),
  fc.option(text, { nil: undefined }).map((reason): ToolOutput => ({ type: "interrupted", ...(reason === undefined ? {} : { reason }) })),
);

interface Call {
  readonly name: string;
  readonly input: Json;
  readonly outcome: ToolOutput | undefined;
  readonly byProvider: boolean;
  readonly carry: Part["providerOptions"];
}
const toolCall: fc.Arbitrary<Call> = fc.record({
  name: toolName,
  input: json,
  outcome: fc.option(output, { nil: undefined, freq: 5 }),
  byProvider: fc.boolean(),
  carry,
});

/** One step: what was said, the calls, their results, each as a message of its own or together. */
const step = fc.record({
  said: fc.array(fc.oneof(textPart, reasoning, filePart, dataPart), { minLength: 1, maxLength: 3 }),
  calls: fc.array(toolCall, { maxLength: 3 }),
  apart: fc.boolean(),
});

let next = 0;
function message(role: Message["role"], parts: readonly Part[]): Message {
  next += 1;
  return { id: `m${next}`, role, parts, timestamp: "2026-01-01T00:00:00.000Z" };
}

function stepMessages({ said, calls, apart }: { said: Part[]; calls: Call[]; apart: boolean }): Message[] {
  const parts = [...said];
  const results: ToolResultPart[] = [];
  for (const { name, input, outcome, byProvider, carry: providerOptions } of calls) {
    next += 1;
    const toolCallId = `c${next}`;
    const carried = providerOptions === undefined ? {} : { providerOptions };
    parts.push({ type: "tool-call", toolCallId, toolName: name, input, ...carried });
    if (outcome === undefined) continue;
    const result: ToolResultPart = { type: "tool-result", toolCallId, toolName: name, output: outcome };
    if (byProvider) parts.push(result);
    else results.push(result);
  }
  const tools = apart ? results.map((result) => message("tool", [result])) : results.length === 0 ? [] : [message("tool", results)];
  return [message("assistant", parts), ...tools];
}

/** Turns of a user and an assistant, with everything that messages can hold. */
export function conversation(): fc.Arbitrary<Message[]> {
  const turn = fc
    .tuple(fc.array(fc.oneof(textPart, filePart, dataPart), { minLength: 1, maxLength: 3 }), fc.array(step, { maxLength: 3 }))
    .map(([asked, steps]) => [message("user", asked), ...steps.flatMap(stepMessages)]);
  return fc
    .tuple(fc.option(textPart, { nil: undefined }), fc.array(turn, { minLength: 1, maxLength: 4 }))
    .map(([system, turns]) => [...(system === undefined ? [] : [message("system", [system])]), ...turns.flat()]);
}

/** The same with the results of a step in one message, in the order of the calls: what UI messages can tell apart. */
export function merged(messages: readonly Message[]): Message[] {
  const all: Message[] = [];
  for (const each of messages) {
    const before = all.at(-1);
    if (each.role === "tool" && before?.role === "tool") all[all.length - 1] = { ...before, parts: [...before.parts, ...each.parts] };
    else all.push(each);
  }
  return all.map((each, index) => {
    if (each.role !== "tool") return each;
    const order = (all[index - 1]?.parts ?? []).flatMap((part) => (part.type === "tool-call" ? [part.toolCallId] : []));
    const place = (part: Part): number => order.indexOf((part as ToolResultPart).toolCallId);
    return { ...each, parts: each.parts.toSorted((a, b) => place(a) - place(b)) };
  });
}
