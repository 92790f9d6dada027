import {
  AixgoError,
  type Agent,
  type AgentContext,
  type AgentEvent,
  type AgentResult,
  defineAgent,
  type Message,
  type ToolCallPart,
  type Usage,
} from "@aixgo/core";
import { throwIfAborted } from "./deadline.ts";
import { readHistory } from "./history.ts";
import { streamWithRetries } from "./model-retry.ts";
import { type ReActAgentOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { buildPrompt, checkInput, resultsAfter, type Spoken } from "./prompt.ts";
import { isOutcomeUnknown, outcomeUnknown, runTools } from "./tool-runner.ts";
import { addUsage, recordedUsage, recordUsage } from "./usage.ts";

/**
 * An agent that lets a model reason and act in turn: it calls the model, runs the tools that it asks for, shows it the results,
 * until it answers without a call.
 *
 * Each step is stored before the next thing happens: a call before its tool runs, a result when its tool ends. So a turn that
 * was cut off is continued where it stopped. Calls without a result run again, but for tools with `effect: "once"`. Calls of tools
 * with `needsApproval` wait for an answer, for days if need be: the turn is suspended.
 *
 * A call rejects with `AGENT_FAILED` (the model failed; the cause is the provider's error), `TIMEOUT` (it was silent),
 * `LIMIT_EXCEEDED` (`maxSteps`, `maxResponseBytes`) or `INVALID_INPUT`. What a tool does wrong is told to the model and fails nothing.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createReActAgent(options: ReActAgentOptions): Agent {
  const resolved = resolveOptions(options);
  const { name, role } = resolved;
  return defineAgent({ name, ...(role === undefined ? undefined : { role }), execute: (input, context) => run(resolved, input, context) });
}

async function* run(options: ResolvedOptions, input: Message, context: AgentContext): AsyncGenerator<AgentEvent, AgentResult, void> {
  const { name, model, settings, instructions, maxSteps, maxResponseBytes } = options;
  const { signal } = context;
  throwIfAborted(signal, `agent "${name}"`);
  checkInput(name, input);
  const { tools, functions } = options.toolset();
  const [history, stored] = await Promise.all([readHistory(context, options.history), context.steps()]);
  // An answer that was stored, and then the process died before the turn was closed.
  const last = stored.at(-1);
  let usage = stored.reduce<Usage | undefined>((sum, step) => addUsage(sum, recordedUsage(step)), undefined);
  if (last?.role === "assistant" && callsOf(last).length === 0) return usage === undefined ? last : { message: last, usage };

  const steps: Spoken[] = [...stored];
  let taken = steps.filter(({ role }) => role === "assistant").length;
  let open = openCalls(steps);
  // After a suspension nothing was cut off: what is open has waited, and has not begun.
  let again = open.length > 0 && context.session?.resumed !== true;
  for (;;) {
    for await (const result of results(open, taken, again)) {
      const message: Spoken = { role: "tool", parts: [result] };
      yield { type: "message", message };
      steps.push(message);
    }
    again = false;
    if (taken >= maxSteps) {
      const problem = `agent "${name}" took maxSteps (${maxSteps}) without an answer; its steps are stored, and with a higher limit the turn can be continued`;
      throw new AixgoError("LIMIT_EXCEEDED", problem, { details: { maxSteps } });
    }
    const prompt = buildPrompt({
      version: model.specificationVersion,
      ...(instructions === undefined ? undefined : { instructions }),
      history,
      input,
      steps,
    });
    const answer = yield* streamWithRetries(
      {
        agent: name,
        model,
        settings,
        prompt,
        functions,
        idleTimeoutMs: options.modelIdleTimeoutMs,
        maxResponseBytes,
        signal,
        observe: context.observe,
      },
      options.retry,
      context.logger,
    );
    taken += 1;
    usage = addUsage(usage, answer.usage);
    if (answer.calls.length === 0) return usage === undefined ? answer.message : { message: answer.message, usage };
    const step = recordUsage(answer);
    yield { type: "message", message: step };
    steps.push(step);
    open = answer.calls;
  }

  /** What an earlier attempt left open is run again, or told as unknown. */
  async function* results(calls: readonly ToolCallPart[], step: number, cutOff: boolean): ReturnType<typeof runTools> {
    const isLost = ({ toolName }: ToolCallPart): boolean => cutOff && tools.get(toolName)?.effect === "once";
    for (const call of calls) if (isLost(call)) yield outcomeUnknown(call);
    yield* runTools(
      calls.filter((call) => !isLost(call)),
      step,
      tools,
      options,
      context,
    );
  }
}

/** The calls of the last step that have no result of their own: none at all, or one that only says `interrupted`. */
function openCalls(steps: readonly Spoken[]): readonly ToolCallPart[] {
  const index = steps.findLastIndex(({ role }) => role === "assistant");
  const step = steps[index];
  if (step === undefined) return [];
  const results = resultsAfter(steps, index);
  return callsOf(step).filter((call) => {
    const result = results.get(call.toolCallId);
    return result === undefined || (result.output.type === "interrupted" && !isOutcomeUnknown(result));
  });
}

/** Each call once, without those that the provider ran itself: their results are in the same message. */
function callsOf({ parts }: Spoken): readonly ToolCallPart[] {
  const calls = new Map<string, ToolCallPart>();
  for (const part of parts) if (part.type === "tool-call" && !calls.has(part.toolCallId)) calls.set(part.toolCallId, part);
  for (const part of parts) if (part.type === "tool-result") calls.delete(part.toolCallId);
  return [...calls.values()];
}
