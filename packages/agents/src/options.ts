import { AixgoError } from "@aixgo/core";
import { MAX_TIMER_MS } from "./deadline.ts";
import type { HistoryBudget } from "./history.ts";
import { isRecord, toJson } from "./json.ts";
import { jsonSchemaOf } from "./json-schema.ts";
import type { LanguageModel, ModelFunction, ModelSettings } from "./model.ts";
import type { Tool } from "./tool.ts";

export interface ReActAgentOptions {
  readonly name: string;
  /** What the agent is for, as `Agent.role`. Not shown to the model. */
  readonly role?: string;
  /** A model object of an AI SDK provider package whose interface is version 3 or 4. */
  readonly model: LanguageModel;
  /** The system message. */
  readonly instructions?: string;
  /** By the name that the model calls: letters, digits, `_` and `-`, at most 64. */
  readonly tools?: Readonly<Record<string, Tool>>;
  /** Handed to the model with each call: temperature, limits, `providerOptions`, … */
  readonly settings?: ModelSettings;
  /** Model calls in one turn, those of its earlier attempts included; then `LIMIT_EXCEEDED`. @default 16 */
  readonly maxSteps?: number;
  /** Calls of one step that run at once. @default 8 */
  readonly maxParallelTools?: number;
  /** Longest time of one tool call in milliseconds, `Infinity` for none. Then its signal aborts and the model is told. @default 60000 */
  readonly toolTimeoutMs?: number;
  /** Longest silence of the model in milliseconds, `Infinity` for none. Then `TIMEOUT`. @default 300000 */
  readonly modelIdleTimeoutMs?: number;
  /** A longer result is cut, and says so. In bytes of UTF-8. @default 1 MiB */
  readonly maxToolResultBytes?: number;
  /** A longer answer of one step is `LIMIT_EXCEEDED`. In bytes. @default 8 MiB */
  readonly maxResponseBytes?: number;
  /** How much of the earlier conversation the model is shown. @default all of it */
  readonly history?: HistoryBudget;
}

type Limits = Pick<
  ReActAgentOptions,
  "maxSteps" | "maxParallelTools" | "toolTimeoutMs" | "modelIdleTimeoutMs" | "maxToolResultBytes" | "maxResponseBytes"
>;

export const REACT_AGENT_DEFAULTS: Required<Limits> = Object.freeze({
  maxSteps: 16,
  maxParallelTools: 8,
  toolTimeoutMs: 60_000,
  modelIdleTimeoutMs: 300_000,
  maxToolResultBytes: 1024 * 1024,
  maxResponseBytes: 8 * 1024 * 1024,
});

export interface ResolvedOptions extends Required<Limits> {
  readonly name: string;
  readonly role?: string;
  readonly model: LanguageModel;
  readonly instructions?: string;
  readonly tools: ReadonlyMap<string, Tool>;
  readonly functions: readonly ModelFunction[];
  readonly settings: ModelSettings;
  readonly history: HistoryBudget;
}

/** What a check says is wrong, or nothing. */
type Check = (value: unknown) => string | undefined;
type Checks<O> = { readonly [K in keyof Required<O>]: Check };

const text: Check = (value) => (typeof value === "string" ? undefined : "must be a text");
const words: Check = (value) => (typeof value === "string" && value !== "" ? undefined : "must be a text that is not empty");
const record: Check = (value) => (isRecord(value) ? undefined : "must be an object");
const finite: Check = (value) => (Number.isFinite(value) ? undefined : "must be a number");
const callable: Check = (value) => (typeof value === "function" ? undefined : "must be a function");
const whole =
  (least: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least ? undefined : `must be a whole number from ${least}`;
const duration: Check = (value) =>
  value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_TIMER_MS)
    ? undefined
    : `must be whole milliseconds from 1 to ${MAX_TIMER_MS}, or Infinity`;
const json: Check = (value) => {
  try {
    toJson(value);
    return record(value);
  } catch (error) {
    return `must be JSON: it ${(error as Error).message}`;
  }
};
const texts: Check = (value) =>
  Array.isArray(value) && value.every((each) => typeof each === "string") ? undefined : "must be a list of texts";

const MODEL: Check = (value) => {
  if (!isRecord(value) || typeof value["doStream"] !== "function")
    return "must be a model object with doStream, as AI SDK provider packages make them";
  const version = value["specificationVersion"];
  return version === "v3" || version === "v4"
    ? undefined
    : `must be of specificationVersion v3 or v4, not ${JSON.stringify(version)}; take a current release of the provider package`;
};

const OPTIONS: Checks<ReActAgentOptions> = {
  name: words,
  role: text,
  model: MODEL,
  instructions: text,
  tools: record,
  settings: record,
  maxSteps: whole(1),
  maxParallelTools: whole(1),
  toolTimeoutMs: duration,
  modelIdleTimeoutMs: duration,
  maxToolResultBytes: whole(1),
  maxResponseBytes: whole(1),
  history: record,
};

const BUDGET: Checks<HistoryBudget> = { maxMessages: whole(0), maxTokens: whole(0) };

const SETTINGS: Checks<ModelSettings> = {
  maxOutputTokens: whole(1),
  temperature: finite,
  topP: finite,
  topK: finite,
  presencePenalty: finite,
  frequencyPenalty: finite,
  stopSequences: texts,
  seed: finite,
  headers: (value) =>
    isRecord(value) && Object.values(value).every((each) => typeof each === "string") ? undefined : "must be an object of texts",
  providerOptions: json,
};

const TOOL: Checks<Tool> = {
  description: text,
  inputSchema: (value) => {
    const standard = (value as { readonly "~standard"?: { readonly version?: unknown; readonly validate?: unknown } } | null | undefined)?.[
      "~standard"
    ];
    return standard?.version === 1 && typeof standard.validate === "function"
      ? undefined
      : "must be a Standard Schema, as of zod, valibot or arktype";
  },
  jsonSchema: record,
  effect: (value) => (value === "idempotent" || value === "once" ? undefined : 'must be "idempotent" or "once"'),
  timeoutMs: duration,
  execute: callable,
};

/** @throws AixgoError `INVALID_OPTION` naming the option */
export function resolveOptions(options: ReActAgentOptions): ResolvedOptions {
  check("createReActAgent", "", OPTIONS, options, ["name", "model"]);
  const { name, role, model, instructions, tools = {}, settings = {}, history = {} } = options;
  check(name, "settings.", SETTINGS, settings, []);
  check(name, "history.", BUDGET, history, []);
  const functions = Object.entries(tools).map(([toolName, tool]): ModelFunction => {
    if (!/^[a-zA-Z0-9_-]{1,64}$/.test(toolName))
      throw invalid(name, `tools: the name ${JSON.stringify(toolName)} must be 1 to 64 letters, digits, _ or -`);
    check(name, `tools.${toolName}.`, TOOL, tool, ["inputSchema", "execute"]);
    return {
      type: "function",
      name: toolName,
      ...(tool.description === undefined ? undefined : { description: tool.description }),
      inputSchema: jsonSchemaOf(toolName, tool),
    };
  });
  const limits = Object.fromEntries(
    Object.entries(REACT_AGENT_DEFAULTS).map(([limit, standard]) => [limit, options[limit as keyof Limits] ?? standard]),
  ) as unknown as Required<Limits>;
  return Object.freeze({
    name,
    ...(role === undefined ? undefined : { role }),
    model,
    ...(instructions === undefined ? undefined : { instructions }),
    tools: new Map(Object.entries(tools)),
    functions,
    settings: { ...settings },
    history: { ...history },
    ...limits,
  });
}

function check(owner: string, prefix: string, checks: Readonly<Record<string, Check>>, given: unknown, required: readonly string[]): void {
  const place = prefix === "" ? "options" : prefix.slice(0, -1);
  if (!isRecord(given)) throw invalid(owner, `${place} must be an object`);
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(checks, key)) throw invalid(owner, `unknown option ${prefix}${key}; known are ${Object.keys(checks).join(", ")}`);
    const problem = value === undefined ? undefined : checks[key]?.(value);
    if (problem !== undefined) throw invalid(owner, `${prefix}${key} ${problem}`);
  }
  for (const key of required) if (given[key] === undefined) throw invalid(owner, `${prefix}${key} is missing`);
}

function invalid(owner: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", owner === "createReActAgent" ? `${owner}: ${problem}` : `agent "${owner}": ${problem}`);
}
