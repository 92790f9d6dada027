import { AixgoError, type AgentContext, type Json, type ToolCallPart, type ToolOutput, type ToolResultPart } from "@aixgo/core";
import { approvalRequest, denialOf } from "./approval.ts";
import { type Approving, askingFor, createAsking } from "./asking.ts";
import { throwIfAborted, within } from "./deadline.ts";
import { cutText, isRecord } from "./json.ts";
import { observeTool } from "./observed.ts";
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
 *
 * Calls that wait for a person have no result: when all others have theirs, it throws `TURN_SUSPENDED`. `step` is the number of the
 * turn's step that they belong to.
 */
export async function* runTools(
  calls: readonly ToolCallPart[],
  step: number,
  tools: ReadonlyMap<string, Tool>,
  limits: ToolLimits,
  context: AgentContext,
): AsyncGenerator<ToolResultPart, void, void> {
  const waiting = calls.values();
  const running = new Map<number, Promise<{ readonly index: number; readonly call: ToolCallPart; readonly outcome: Outcome }>>();
  let suspended: AixgoError | undefined;
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
        const work = runTool({ call, step, tool: tools.get(call.toolName) }, limits, context, stop.signal).then((outcome) => ({
          index,
          call,
          outcome,
        }));
        // Heard of in the race below, unless the generator was left before.
        work.catch(() => {});
        running.set(index, work);
      }
      if (running.size === 0) break;
      const { index, call, outcome } = await Promise.race(running.values());
      running.delete(index);
      if ("output" in outcome) yield resultOf(call, outcome.output);
      else suspended ??= outcome.suspended;
    }
  } finally {
    context.signal.removeEventListener("abort", abort);
    stop.abort(new AixgoError("CANCELLED", `agent "${context.agentName}" does not wait for its tools any more`));
  }
  if (suspended !== undefined) throw suspended;
}

/** What became of a call: a result, or it waits for a person. */
type Outcome = { readonly output: ToolOutput } | { readonly suspended: AixgoError };

async function runTool(
  { call, step, tool }: { readonly call: ToolCallPart; readonly step: number; readonly tool: Tool | undefined },
  limits: ToolLimits,
  context: AgentContext,
  stopped: AbortSignal,
): Promise<Outcome> {
  const { toolName, toolCallId } = call;
  const { logger } = context;
  if (tool === undefined) {
    logger.warn({ toolName: cutText(toolName, 64), toolCallId }, "the model called a tool that does not exist");
    return { output: errorOutput(`There is no tool named ${JSON.stringify(cutText(toolName, 64))}.`) };
  }
  if (!isRecord(call.input)) {
    const began = typeof call.input === "string" ? ` It began: ${cutText(call.input, MAX_ECHO_BYTES)}` : "";
    return { output: errorOutput(`Invalid input: it is not a JSON object.${began}`) };
  }
  const timeoutMs = tool.timeoutMs ?? limits.toolTimeoutMs;
  const own = new AbortController();
  const abort = (): void => own.abort(stopped.reason);
  stopped.addEventListener("abort", abort, { once: true });
  const asking = createAsking(context);
  try {
    // The copy is the tool's to change: what is stored stays.
    const input = structuredClone(call.input);
    let hasBegun = false;
    const late = (): Error =>
      new AixgoError(
        "TIMEOUT",
        hasBegun
          ? `it took longer than ${timeoutMs} ms; its outcome is unknown`
          : `it did not run: to check its input and ask whether it may run took longer than ${timeoutMs} ms`,
      );
    const done = await observeTool(context.observe, call, async () => {
      const work = execute(tool, input, {
        approval: askingFor(approvalRequest(call, step, context), asking, context),
        begins: () => void (hasBegun = true),
        context: toolContext(context, toolCallId, own.signal, asking.suspend),
      });
      try {
        const executed = await within(work, { signal: stopped, ms: timeoutMs, late, what: `tool "${toolName}"` });
        return asking.suspended === undefined ? executed : { suspended: asking.suspended };
      } catch (error) {
        // To wait for a person is no failure.
        if (stopped.aborted || asking.suspended === undefined) throw error;
        own.abort(error);
        return { suspended: asking.suspended };
      }
    });
    if ("suspended" in done) return done;
    if ("denied" in done) return { output: { type: "execution-denied", ...done.denied } };
    if ("problem" in done) return { output: errorOutput(`Invalid input: ${done.problem}`) };
    return {
      output:
        tool.toOutput === undefined
          ? outputOf(done.value, limits.maxToolResultBytes)
          : toldOutput(() => tool.toOutput?.(done.value as Json), limits.maxToolResultBytes),
    };
  } catch (error) {
    own.abort(error);
    // Stopped from outside: no result is told, the call stays open for the next attempt.
    if (stopped.aborted) throw error;
    if (asking.failed !== undefined) throw asking.failed;
    logger.warn({ toolName, toolCallId, error: error instanceof Error ? error.name : typeof error }, "a tool failed; the model is told");
    return { output: errorOutput(`The tool failed: ${wordsOf(error)}`) };
  } finally {
    stopped.removeEventListener("abort", abort);
  }
}

type Executed = { readonly value: unknown } | { readonly problem: string } | { readonly denied: { readonly reason?: string } };

async function execute(
  tool: Tool,
  input: unknown,
  { approval, begins, context }: { readonly approval: Approving; readonly begins: () => void; readonly context: ToolContext },
): Promise<Executed> {
  const checked = readValidation(await tool.inputSchema["~standard"].validate(input));
  if ("problem" in checked) return checked;
  const { needsApproval = false } = tool;
  // Only a plain `false` lets a call run unasked, and only one that nobody was asked about: what somebody said then stands.
  const asks = (typeof needsApproval === "function" ? await needsApproval(checked.value) : needsApproval) !== false;
  if (asks || (await approval.isGiven())) {
    const denied = denialOf(await approval.ask());
    if (denied !== undefined) return { denied };
  }
  // Time was up, or the agent does not wait any more: nobody would hear of a run that began now.
  context.signal.throwIfAborted();
  begins();
  return { value: await tool.execute(checked.value, context) };
}

function toolContext(context: AgentContext, toolCallId: string, signal: AbortSignal, suspend: ToolContext["suspend"]): ToolContext {
  const { agentName, principal, logger, observe, session } = context;
  return {
    agentName,
    logger,
    toolCallId,
    signal,
    ...(observe === undefined ? undefined : { observe }),
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
    decisionOf: (requestId) => context.decisionOf(requestId),
    call: (agent, input, options) =>
      context.call(agent, input, {
        ...options,
        signal: options?.signal === undefined ? signal : AbortSignal.any([signal, options.signal]),
      }),
    suspend,
  };
}

function resultOf({ toolCallId, toolName }: ToolCallPart, output: ToolOutput): ToolResultPart {
  return { type: "tool-result", toolCallId, toolName, output };
}
