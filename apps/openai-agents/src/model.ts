import type { AgentInputItem, Model, ModelRequest, ModelResponse, StreamEvent } from "@openai/agents";
import { Usage } from "@openai/agents";

/**
 * Stands in for a language model: no network, no chance. It decides from the conversation that it is given, and from nothing else. Leave
 * `model` out of the agent, set `OPENAI_API_KEY`, and OpenAI answers.
 */
export const offlineModel: Model = {
  async getResponse({ input }: ModelRequest): Promise<ModelResponse> {
    return { output: [decide(input)], usage: new Usage() };
  },
  async *getStreamedResponse({ input }: ModelRequest): AsyncIterable<StreamEvent> {
    const usage = { requests: 1, inputTokens: 0, outputTokens: 0, totalTokens: 0 };
    yield { type: "response_done", response: { id: "offline", output: [decide(input)], usage } };
  },
};

type Output = Extract<StreamEvent, { type: "response_done" }>["response"]["output"][number];

function decide(input: string | AgentInputItem[]): Output {
  const items: readonly AgentInputItem[] = typeof input === "string" ? [{ role: "user", content: input }] : input;
  const last = items.at(-1);
  if (last?.type === "function_call_result") return says(`Done: ${textOf(last.output)}`);
  const said = items.flatMap((item) => ("role" in item && item.role === "user" ? [textOf(item.content)] : []));
  const name = said.map((text) => /my name is (\w+)/i.exec(text)?.[1]).findLast((found) => found !== undefined);
  const question = said.at(-1) ?? "";
  const file = /delete (\S+)/i.exec(question)?.[1];
  if (file !== undefined) {
    const callId = `call-${items.length}`;
    return { type: "function_call", callId, name: "delete_file", status: "completed", arguments: JSON.stringify({ file }) };
  }
  if (/my name is/i.test(question)) return says(`Nice to meet you, ${name ?? "stranger"}.`);
  return says(name === undefined ? "You did not tell me." : `You are ${name}.`);
}

function says(text: string): Output {
  return { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text }] };
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map(textOf).join("");
  return typeof content === "object" && content !== null && "text" in content ? String(content.text) : "";
}
