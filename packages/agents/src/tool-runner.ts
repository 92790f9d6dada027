import { AixgoError, type AgentContext, type Json, type ToolCallPart, type ToolOutput, type ToolResultPart } from "@aixgo/core";
import { throwIfAborted, within } from "./deadline.ts";
import { cutText, isRecord } from "./json.ts";
import type { Tool, ToolContext } from "./tool.ts";
import { errorOutput, outputOf, readValidation, toldOutput, wordsOf } from "./tool-result.ts";

export interface ToolLimits {
  readonly maxParallelTools: number;
  readonly toolTimeoutMs: number;
  readonly maxToolResultBytes: number;
}

/** Of an input that is told back to the model, in bytes. */
const MAX_ECHO_BYTES = 200;
/** Also how a result of ours is known from one that the session layer put in its place. */
const ONCE_REASON = "the tool runs at most once and its call was cut off; whether it took effect must be found out another way";

/** The result of a `once` call that was cut off: told, stored, and never run again. */
export function outcomeUnknown(call: ToolCallPart): ToolResultPart {
  return resultOf(call, { type: "interrupted", reason: ONCE_REASON });
}

export function isOutcomeUnknown({ output }: ToolResultPart): boolean {
  return output.type === "interrupted" && output.reason === ONCE_REASON;
}

/**
 * Runs calls side by side and yields each result as it comes, so that a crash loses only what was still running. A call never
 * fails the agent: what goes wrong is told to the model. Only the agent's own signal ends it, at once; then, and when the
 * generator is left, the signals of the tools abort.
 */
export async function* runTools(
  calls: readonly ToolCallPart[],
  tools: ReadonlyMap<string, Tool>,
  limits: ToolLimits,
  context: AgentContext,
): AsyncGenerator<ToolResultPart, void, void> {
  const waiting = calls.values();
  const running = new Map<number, Promise<{ readonly index: number; readonly result: ToolResultPart }>>();
  const stop = new AbortController();
  const abort = (): void => stop.abort(context.signal.reason);
  context.signal.addEventListener("abort", abort, { once: true });
  let started = 0;
  try {
    for (;;) {
      while (running.size < limits.maxParallelTools) {
        throwIfAborted(context.signal, `agent "${context.agentName}"`);
        const { done, value: call } = waiting.next();
        if (done === true) break;
        const index = started++;
        const work = runTool(call, tools.get(call.toolName), limits, context, stop.signal).then((output) => ({
          index,
          result: resultOf(call, output),
        }));
        // Heard of in the race below, unless the generator was left before.
        work.catch(() => {});
        running.set(index, work);
      }
      if (running.size === 0) return;
      const { index, result } = await Promise.race(running.values());
      running.delete(index);
      yield result;
    }
  } finally {
    context.signal.removeEventListener("abort", abort);
    stop.abort(new AixgoError("CANCELLED", `agent "${context.agentName}" does not wait for its tools any more`));
  }
}

async function runTool(
  call: ToolCallPart,
  tool: Tool | undefined,
  limits: ToolLimits,
  context: AgentContext,
  stopped: AbortSignal,
): Promise<ToolOutput> {
  const { toolName, toolCallId } = call;
  const { logger } = context;
  if (tool === undefined) {
    logger.warn({ toolName: cutText(toolName, 64), toolCallId }, "the model called a tool that does not exist");
    return errorOutput(`There is no tool named ${JSON.stringify(cutText(toolName, 64))}.`);
  }
  if (!isRecord(call.input)) {
    const began = typeof call.input === "string" ? ` It began: ${cutText(call.input, MAX_ECHO_BYTES)}` : "";
    return errorOutput(`Invalid input: it is not a JSON object.${began}`);
  }
  const timeoutMs = tool.timeoutMs ?? limits.toolTimeoutMs;
  const own = new AbortController();
  const abort = (): void => own.abort(stopped.reason);
  stopped.addEventListener("abort", abort, { once: true });
  try {
    // The copy is the tool's to change: what is stored stays.
    const work = execute(tool, structuredClone(call.input), toolContext(context, toolCallId, own.signal));
    const late = (): Error => new AixgoError("TIMEOUT", `it took longer than ${timeoutMs} ms; its outcome is unknown`);
    const done = await within(work, { signal: stopped, ms: timeoutMs, late, what: `tool "${toolName}"` });
    if ("problem" in done) return errorOutput(`Invalid input: ${done.problem}`);
    return tool.toOutput === undefined
      ? outputOf(done.value, limits.maxToolResultBytes)
      : toldOutput(() => tool.toOutput?.(done.value as Json), limits.maxToolResultBytes);
  } catch (error) {
    own.abort(error);
    // Stopped from outside: no result is told, the call stays open for the next attempt.
    if (stopped.aborted) throw error;
    logger.warn({ toolName, toolCallId, error: error instanceof Error ? error.name : typeof error }, "a tool failed; the model is told");
    return errorOutput(`The tool failed: ${wordsOf(error)}`);
  } finally {
    stopped.removeEventListener("abort", abort);
  }
}

async function execute(
  tool: Tool,
  input: unknown,
  context: ToolContext,
): Promise<{ readonly value: unknown } | { readonly problem: string }> {
  const checked = readValidation(await tool.inputSchema["~standard"].validate(input));
  if ("problem" in checked) return checked;
  return { value: await tool.execute(checked.value, context) };
}

function toolContext(context: AgentContext, toolCallId: string, signal: AbortSignal): ToolContext {
  const { agentName, principal, logger, session } = context;
  return {
    agentName,
    logger,
    toolCallId,
    signal,
    ...(principal === undefined ? undefined : { principal }),
    ...(session === undefined ? undefined : { session }),
    history: (options) => context.history(options),
    steps: () => context.steps(),
    getState: () => context.getState(),
    setState: (value) => context.setState(value),
    emit: async (event) => {
      // Between a call and its result a message would part the two.
      if (event.type === "message")
        throw new AixgoError("INVALID_INPUT", "a tool cannot store messages while it runs; return what the model should know");
      await context.emit(event);
    },
    call: (agent, input, options) =>
      context.call(agent, input, {
        ...options,
        signal: options?.signal === undefined ? signal : AbortSignal.any([signal, options.signal]),
      }),
  };
}

function resultOf({ toolCallId, toolName }: ToolCallPart, output: ToolOutput): ToolResultPart {
  return { type: "tool-result", toolCallId, toolName, output };
}
