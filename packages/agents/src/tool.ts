import { type AgentContext, AixgoError, type Json, type ToolOutput } from "@aixgo/core";
import { isRecord } from "./json.ts";

/** A Standard Schema (zod, valibot, arktype …). `validate` may answer at once or later. */
export interface StandardInput<I> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly input: unknown; readonly output: I } | undefined;
  };
}

/** What a tool is given beside its input. */
export interface ToolContext extends AgentContext {
  /** Unique within its step: with `session.turnId` a good idempotency key for what the tool calls. */
  readonly toolCallId: string;
  /** Aborts with the agent's signal and when the tool's time is up. */
  readonly signal: AbortSignal;
}

// oxlint-disable-next-line typescript/no-explicit-any -- a record of tools has inputs of many types, and `execute` takes its input contravariantly
export interface Tool<I = any> {
  /** Tells the model what the tool does and when to use it. */
  readonly description?: string;
  /** Checks the model's input before `execute`; must describe an object. */
  readonly inputSchema: StandardInput<I>;
  /** What the model is shown; only needed if `inputSchema` cannot convert itself. */
  readonly jsonSchema?: Json;
  /**
   * What happens to a call that was cut off by a crash or a cancel. `idempotent`: it runs again when the turn is continued.
   * `once`: it never runs again; the model is told that the outcome is unknown. @default "idempotent"
   */
  readonly effect?: "idempotent" | "once";
  /**
   * Asks somebody before the call runs, always or as the checked input demands: the turn is suspended, with a request for each such
   * call whose `data` is `{ type: "tool-approval", toolCallId, toolName, input }`, once the step's other calls have their results. It
   * is answered with `runtime.resume(…, { approved, reason? })`, or `true` or `false`; any other answer denies. What was answered stands, also if the function would not ask any more. The model is told of a
   * denial. A call with a session is needed: without one it rejects with `INVALID_OPTION`. @default false
   */
  readonly needsApproval?: boolean | ((input: I) => boolean | Promise<boolean>);
  /** Longest time of one call in milliseconds, `Infinity` for none. @default the agent's `toolTimeoutMs` */
  readonly timeoutMs?: number;
  /** What it throws is told to the model as an error. Nothing returned is told as `null`. */
  execute(input: I, context: ToolContext): Json | Promise<Json>;
  /**
   * How the model is told what `execute` returned: images and files as `content`, a failure as `error-text`. It is stored, and cut
   * to `maxToolResultBytes`. @default a text as text, everything else as JSON
   */
  toOutput?(result: Json): ToolOutput;
}

/** Identity, for its types: gives `execute` the type that `inputSchema` validates to. */
export function tool<I>(tool: Tool<I>): Tool<I> {
  return tool;
}

/**
 * Tools from several places in one record.
 *
 * @throws AixgoError `INVALID_OPTION` for a name that two of them have (give one of them a prefix), and for what is no record
 */
export function mergeTools(...records: readonly Readonly<Record<string, Tool>>[]): Readonly<Record<string, Tool>> {
  const merged = new Map<string, Tool>();
  records.forEach((record, index) => {
    if (!isRecord(record)) throw new AixgoError("INVALID_OPTION", `mergeTools: argument ${index + 1} is no record of tools by their names`);
    for (const [name, each] of Object.entries(record)) {
      if (merged.has(name))
        throw new AixgoError("INVALID_OPTION", `mergeTools: two tools are named ${name}; give one of them another name, or a prefix`);
      merged.set(name, each);
    }
  });
  return Object.fromEntries(merged);
}
