import {
  AixgoError,
  type Agent,
  type AgentContext,
  type AgentResult,
  defineAgent,
  type Json,
  type Message,
  textOf,
  type Usage,
} from "@aixgo/core";
import { throwIfAborted } from "./deadline.ts";
import { type HistoryBudget, readHistory } from "./history.ts";
import { schemaAsJson } from "./json-schema.ts";
import { isRecord, toJson } from "./json.ts";
import { MODEL_AGENT_CHECKS, MODEL_DEFAULTS, type ModelAgentOptions, resolveModelOptions } from "./model-options.ts";
import { streamWithRetries } from "./model-retry.ts";
import { check, type Checks, record, schema as standardSchema, whole, words } from "./option-check.ts";
import { buildPrompt, checkInput, type Spoken } from "./prompt.ts";
import type { StandardInput } from "./tool.ts";
import { readValidation } from "./tool-result.ts";
import { addUsage } from "./usage.ts";

export interface StructuredAgentOptions<O> extends ModelAgentOptions {
  /** A Standard Schema (zod, valibot, arktype …) of what is to be answered. */
  readonly schema: StandardInput<O>;
  /** What the model is shown; only needed if `schema` cannot convert itself. */
  readonly jsonSchema?: Json;
  /** How providers that name their formats name this one. @default "answer" */
  readonly schemaName?: string;
  /** Further calls of the model for an answer that does not fit, each with what was wrong. @default 1 */
  readonly maxRepairs?: number;
  /** How much of the earlier conversation the model is shown. @default all of it */
  readonly history?: HistoryBudget;
}

const CHECKS: Checks<StructuredAgentOptions<unknown>> = {
  ...MODEL_AGENT_CHECKS,
  schema: standardSchema,
  jsonSchema: record,
  schemaName: words,
  maxRepairs: whole(0),
  history: record,
};
const BUDGET: Checks<HistoryBudget> = { maxMessages: whole(0), maxTokens: whole(0) };

/**
 * An agent that answers with JSON of a schema. The model is asked for JSON (`responseFormat`), its answer is checked; one that does
 * not fit is given back once, with what was wrong. The reply's text is the JSON: later prompts and other agents read it as it
 * is, programs with `readOutput`. Deltas are not shown: a repaired answer would be shown twice.
 *
 * A call rejects with `AGENT_FAILED` (the model failed, or none of its answers fits; `details.problem` says why), `TIMEOUT`,
 * `LIMIT_EXCEEDED` or `INVALID_INPUT`.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createStructuredAgent<O>(options: StructuredAgentOptions<O>): Agent {
  return structuredAgent(options, ({ json }) => json);
}

/** An answer that fits: as the model wrote it, and as the schema makes it. */
interface Fitting<O> {
  readonly json: Json;
  readonly value: O;
}

/** The same for agents that have the last word on what is answered. */
export function structuredAgent<O>(options: StructuredAgentOptions<O>, answerOf: (fitting: Fitting<O>) => Json): Agent {
  check("createStructuredAgent", "", CHECKS, options, ["name", "model", "schema"]);
  const { name, role, model, instructions, schema, jsonSchema, schemaName = "answer", maxRepairs = 1, history = {} } = options;
  const { settings, retry } = resolveModelOptions(name, options);
  check(name, "history.", BUDGET, history, []);
  const responseFormat = {
    type: "json",
    schema: schemaAsJson("schema", { inputSchema: schema, ...(jsonSchema === undefined ? {} : { jsonSchema }) }),
    name: schemaName,
  };

  async function execute(input: Message, context: AgentContext): Promise<AgentResult> {
    throwIfAborted(context.signal, `agent "${name}"`);
    checkInput(name, input);
    const earlier = await readHistory(context, history);
    const steps: Spoken[] = [];
    let usage: Usage | undefined;
    for (let repairs = 0; ; repairs += 1) {
      const prompt = buildPrompt({
        version: model.specificationVersion,
        ...(instructions === undefined ? undefined : { instructions }),
        history: earlier,
        input,
        steps,
      });
      const stream = streamWithRetries(
        {
          agent: name,
          model,
          settings,
          prompt,
          functions: [],
          responseFormat,
          idleTimeoutMs: options.modelIdleTimeoutMs ?? MODEL_DEFAULTS.modelIdleTimeoutMs,
          maxResponseBytes: options.maxResponseBytes ?? MODEL_DEFAULTS.maxResponseBytes,
          signal: context.signal,
          observe: context.observe,
        },
        retry,
        context.logger,
      );
      let step = await stream.next();
      while (step.done !== true) step = await stream.next();
      const answer = step.value;
      usage = addUsage(usage, answer.usage);
      const read = await readJson(textOf(answer.message), schema);
      if ("json" in read) {
        const message = { role: "assistant", parts: [{ type: "text", text: JSON.stringify(answerOf(read)) }] } as const;
        return usage === undefined ? message : { message, usage };
      }
      if (repairs >= maxRepairs) {
        const reason = answer.message.metadata?.["finishReason"];
        const ended = typeof reason === "string" ? ` (it ended with ${reason})` : "";
        const problem = `agent "${name}": the model's answer does not fit its schema after ${repairs + 1} calls${ended}; details.problem says why`;
        throw new AixgoError("AGENT_FAILED", problem, { details: { problem: read.problem, calls: repairs + 1 } });
      }
      context.logger.warn({ agent: name, model: model.modelId, repairs }, "an answer does not fit its schema and is given back");
      steps.push(answer.message, {
        role: "user",
        parts: [{ type: "text", text: `This answer does not fit: ${read.problem}\nAnswer again, with the corrected JSON only.` }],
      });
    }
  }
  return defineAgent({ name, ...(role === undefined ? undefined : { role }), execute });
}

/**
 * What a structured agent answered, checked by its schema again and as the schema makes it: dates, defaults, transforms.
 *
 * @throws AixgoError `INVALID_INPUT` if the text is not JSON of that schema, and for what is no reply; `INVALID_OPTION` for what is no schema
 */
export async function readOutput<O>(schema: StandardInput<O>, reply: { readonly text: string } | Pick<Message, "parts">): Promise<O> {
  const problem = standardSchema(schema);
  if (problem !== undefined) throw new AixgoError("INVALID_OPTION", `readOutput: the schema ${problem}`);
  const read = await readJson(textIn(reply), schema);
  if ("problem" in read) throw new AixgoError("INVALID_INPUT", `readOutput: the reply does not fit the schema: ${read.problem}`);
  return read.value;
}

function textIn(reply: unknown): string {
  if (isRecord(reply)) {
    const { text, parts } = reply;
    if (typeof text === "string") return text;
    if (Array.isArray(parts)) return textOf({ parts: parts as Message["parts"] });
  }
  throw new AixgoError("INVALID_INPUT", "readOutput: it was given neither a reply with a text nor a message with parts");
}

async function readJson<O>(text: string, schema: StandardInput<O>): Promise<Fitting<O> | { readonly problem: string }> {
  let json: Json;
  try {
    json = toJson(JSON.parse(unfenced(text)));
  } catch {
    return { problem: text.trim() === "" ? "it is empty" : "it is not JSON" };
  }
  // What a schema changes in place is not what is stored.
  const checked = readValidation(await schema["~standard"].validate(structuredClone(json)));
  return "problem" in checked ? checked : { json, value: checked.value as O };
}

/** Models put JSON into a code block even when they are asked not to. */
function unfenced(text: string): string {
  return /^\s*```(?:json)?\s*\n([\s\S]*?)\n?\s*```\s*$/.exec(text)?.[1] ?? text;
}
