import type { HistoryBudget } from "./history.ts";
import { jsonSchemaOf } from "./json-schema.ts";
import type { LanguageModel, ModelFunction, ModelSettings } from "./model.ts";
import { MODEL_AGENT_CHECKS, MODEL_DEFAULTS, type ModelAgentOptions, resolveModelOptions } from "./model-options.ts";
import type { RetryOptions } from "./model-retry.ts";
import { callable, check, type Checks, duration, invalid, record, schema, text, whole } from "./option-check.ts";
import type { Tool } from "./tool.ts";

export interface ReActAgentOptions extends ModelAgentOptions {
  /**
   * By the name that the model calls: letters, digits, `_` and `-`, at most 64. A function is asked at the start of each turn, for tools
   * that come and go; what is wrong with them then fails the turn.
   */
  readonly tools?: Readonly<Record<string, Tool>> | (() => Readonly<Record<string, Tool>>);
  /** Model calls in one turn, those of its earlier attempts included; then `LIMIT_EXCEEDED`. @default 16 */
  readonly maxSteps?: number;
  /** Calls of one step that run at once. @default 8 */
  readonly maxParallelTools?: number;
  /** Longest time of one tool call in milliseconds, `Infinity` for none. Then its signal aborts and the model is told. @default 60000 */
  readonly toolTimeoutMs?: number;
  /** A longer result is cut, and says so. In bytes of UTF-8. @default 1 MiB */
  readonly maxToolResultBytes?: number;
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
  maxToolResultBytes: 1024 * 1024,
  ...MODEL_DEFAULTS,
});

export interface Toolset {
  readonly tools: ReadonlyMap<string, Tool>;
  /** What the model is shown of them. */
  readonly functions: readonly ModelFunction[];
}

export interface ResolvedOptions extends Required<Limits> {
  readonly name: string;
  readonly role?: string;
  readonly model: LanguageModel;
  readonly instructions?: string;
  /** Those of a turn that begins now. */
  readonly toolset: () => Toolset;
  readonly settings: ModelSettings;
  readonly retry: Required<RetryOptions>;
  readonly history: HistoryBudget;
}

const OPTIONS: Checks<ReActAgentOptions> = {
  ...MODEL_AGENT_CHECKS,
  tools: (value) => (typeof value === "function" ? undefined : record(value)),
  maxSteps: whole(1),
  maxParallelTools: whole(1),
  toolTimeoutMs: duration,
  maxToolResultBytes: whole(1),
  history: record,
};

const BUDGET: Checks<HistoryBudget> = { maxMessages: whole(0), maxTokens: whole(0) };

const TOOL: Checks<Tool> = {
  description: text,
  inputSchema: schema,
  jsonSchema: record,
  toOutput: callable,
  effect: (value) => (value === "idempotent" || value === "once" ? undefined : 'must be "idempotent" or "once"'),
  needsApproval: (value) => (typeof value === "boolean" || typeof value === "function" ? undefined : "must be true, false or a function"),
  timeoutMs: duration,
  execute: callable,
};

/** @throws AixgoError `INVALID_OPTION` naming the option */
export function resolveOptions(options: ReActAgentOptions): ResolvedOptions {
  check("createReActAgent", "", OPTIONS, options, ["name", "model"]);
  const { name, role, model, instructions, tools = {}, history = {} } = options;
  const modelOptions = resolveModelOptions(name, options);
  check(name, "history.", BUDGET, history, []);
  const toolset = typeof tools === "function" ? () => resolveTools(name, tools()) : fixed(resolveTools(name, tools));
  const limits = Object.fromEntries(
    Object.entries(REACT_AGENT_DEFAULTS).map(([limit, standard]) => [limit, options[limit as keyof Limits] ?? standard]),
  ) as unknown as Required<Limits>;
  return Object.freeze({
    name,
    ...(role === undefined ? undefined : { role }),
    model,
    ...(instructions === undefined ? undefined : { instructions }),
    toolset,
    ...modelOptions,
    history: { ...history },
    ...limits,
  });
}

function fixed(toolset: Toolset): () => Toolset {
  return () => toolset;
}

function resolveTools(name: string, tools: Readonly<Record<string, Tool>>): Toolset {
  const problem = "then" in Object(tools) ? "must give its tools at once, not a promise of them" : record(tools);
  if (problem !== undefined) throw invalid(name, `tools ${problem}`);
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
  return { tools: new Map(Object.entries(tools)), functions };
}
