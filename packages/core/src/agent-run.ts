import type { AgentEvent, AgentResult, Execute, Usage } from "./agent.ts";
import { accept } from "./agent-event.ts";
import { takeResult } from "./agent-result.ts";
import { createContext } from "./context.ts";
import { agentError, badOutput, textOfError } from "./failure.ts";
import type { Invocation } from "./invocation.ts";
import type { MessageDraft, MessageInput } from "./message.ts";
import { toMessage } from "./message-check.ts";

export interface Answer {
  readonly draft: MessageDraft;
  readonly usage?: Usage;
}

/** Events after which a generator that never waits lets timers, cancels and readers have their turn. */
const EVENTS_PER_BREATH = 64;
const BREATH_MS = 8;

/**
 * Runs the agent to its end. Rejects with errors of ours only.
 *
 * It ends when the agent does, not when its caller has lost patience: that is the business of whoever waits for it.
 */
export async function runAgent(call: Invocation): Promise<Answer> {
  try {
    const context = createContext(call);
    const returned = call.agent.execute(call.input, context);
    const result = isGenerator(returned) ? await drain(call, returned) : await returned;
    await stored(call);
    return answerOf(call, result);
  } catch (error) {
    // A turn that waits for a person has what its agent handed over before.
    if (call.turn !== undefined && call.turn.requests.length > 0) await stored(call);
    throw agentError(call.agentName, error);
  }
}

/** Emits that the agent did not wait for come before its end. */
async function stored(call: Invocation): Promise<void> {
  while (call.pending !== undefined && call.pending.size > 0) await Promise.allSettled(call.pending);
}

type Generator = AsyncGenerator<AgentEvent, AgentResult, void>;

function isGenerator(value: ReturnType<Execute>): value is Generator {
  return (
    typeof value === "object" && value !== null && Symbol.asyncIterator in value && "next" in value && typeof value.next === "function"
  );
}

async function drain(call: Invocation, generator: Generator): Promise<AgentResult> {
  let step = await generator.next();
  let events = 0;
  let breath = performance.now();
  for (;;) {
    if (step.done === true) return step.value;
    events += 1;
    if (events % EVENTS_PER_BREATH === 0 && performance.now() - breath > BREATH_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      breath = performance.now();
    }
    const failure = await take(call, step.value);
    if (call.cancellation.reason !== undefined) {
      await leave(call, generator);
      throw call.cancellation.reason;
    }
    // The agent learns at its `yield` that its message was not stored, and may end in its own way.
    step = failure === undefined ? await generator.next() : await generator.throw(failure.error);
  }
}

/** Of a failed event the error; a cancel ends the waiting for a slow store. */
async function take(call: Invocation, event: AgentEvent): Promise<{ readonly error: unknown } | undefined> {
  if (call.cancellation.reason !== undefined) return undefined;
  try {
    const storing = accept(call, event);
    if (storing !== undefined) await call.cancellation.race(storing);
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** Runs the `finally` blocks of a generator that is not needed any more. What they yield is not wanted, what they throw comes too late. */
async function leave(call: Invocation, generator: Generator): Promise<void> {
  try {
    let step = await generator.return(undefined as never);
    for (let extra = 0; step.done !== true && extra < EVENTS_PER_BREATH; extra += 1) step = await generator.next();
  } catch (error) {
    call.logger.debug({ agent: call.agentName, error: textOfError(error) }, "an agent failed while it was being stopped");
  }
}

function answerOf(call: Invocation, result: unknown): Answer {
  try {
    const { message, usage } = takeResult(result);
    return { draft: draftOf(call, message), ...(usage === undefined ? undefined : { usage }) };
  } catch (error) {
    throw badOutput(call.agentName, "returned an invalid answer", error);
  }
}

function draftOf(call: Invocation, given: unknown): MessageDraft {
  const draft = toMessage(given as MessageInput, "assistant");
  const stored = typeof given === "object" && given !== null ? call.stored?.get(given) : undefined;
  // The same object with the same content is the message that was stored; changed since, it is another one.
  if (stored !== undefined && JSON.stringify(stored.parts) === JSON.stringify(draft.parts)) return stored;
  if (draft.id === undefined || draft.id !== call.input.id) return draft;
  // An agent that returns its input: the answer is a message of its own.
  const { role, parts, metadata } = draft;
  return { role, parts, ...(metadata === undefined ? undefined : { metadata }) };
}
