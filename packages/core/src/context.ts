import type { AgentContext } from "./agent.ts";
import { accept } from "./agent-event.ts";
import { AixgoError } from "./errors.ts";
import { badOutput } from "./failure.ts";
import { type Invocation, overError, track } from "./invocation.ts";
import { copyJson } from "./json.ts";
import type { Json } from "./message.ts";
import type { OpenTurn } from "./session-host.ts";
import { type SuspendRequest, toSuspendRequest } from "./suspension.ts";

/**
 * What the agent of this invocation is given. Its methods may be taken out of it (`{ emit, call }`).
 *
 * Each of them rejects once the caller was answered, and none of their rejections is ever unhandled: an agent that does not wait
 * for one of them cannot end the process.
 */
export function createContext(call: Invocation): AgentContext {
  const { turn } = call;
  let state: Json | undefined;
  const open = (): void => {
    if (call.over || call.cancellation.reason !== undefined) throw overError(call);
  };

  const context: Omit<Writable<AgentContext>, "signal"> = {
    agentName: call.agentName,
    logger: call.logger,
    history(options) {
      return guarded(call, async () => {
        open();
        return (await call.history?.(options)) ?? [];
      });
    },
    steps() {
      return guarded(call, async () => {
        open();
        return turn === undefined ? [...(call.steps ?? [])] : turn.steps();
      });
    },
    getState() {
      return guarded(call, async () => {
        open();
        return turn === undefined ? state : turn.getState();
      });
    },
    setState(value) {
      return guarded(call, async () => {
        open();
        const copy = checkedState(call, value);
        if (turn === undefined) {
          state = copy;
          return;
        }
        const storing = turn.setState(copy);
        track(call, storing);
        await storing;
      });
    },
    emit(event) {
      return guarded(call, async () => {
        open();
        await accept(call, event);
      });
    },
    call(agent, input, options) {
      return guarded(call, async () => {
        open();
        return call.callNested(call, agent, input, options);
      });
    },
    suspend(request) {
      return guarded(call, async () => {
        open();
        const asked = checkedRequest(call, request);
        if (turn === undefined) throw new AixgoError("INVALID_OPTION", `agent "${call.agentName}" cannot suspend: ${wayOut(call.depth)}`);
        return turn.suspend(asked);
      });
    },
    decisionOf(requestId) {
      return guarded(call, async () => {
        open();
        return turn?.decisionOf(requestId);
      });
    },
  };
  if (call.observe !== undefined) context.observe = call.observe;
  if (call.principal !== undefined) context.principal = call.principal;
  if (turn !== undefined) context.session = sessionOf(turn, call.sessionId as string);
  // An own member, so that `{ ...context }` has it too. An accessor in the literal would cost a microsecond more.
  return Object.defineProperty(context, "signal", {
    get: () => call.cancellation.signal,
    enumerable: true,
    configurable: true,
  }) as AgentContext;
}

/** What whoever wrote the agents may do instead. */
function wayOut(depth: number): string {
  return depth === 0
    ? "this call has no session to wait in. Call the agent with callWithSession"
    : "it was called with context.call, and such a call has no session to wait in. Give it one of its own: as a tool of its caller by createAgentTool of @aixgo/agents with runtime and sessions; or its caller calls it with runtime.callWithSession, and asks with context.suspend while that turn waits";
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function guarded<T>(call: Invocation, body: () => Promise<T>): Promise<T> {
  const promise = body();
  promise.catch((error: unknown) =>
    call.logger.debug({ agent: call.agentName, code: (error as { code?: unknown } | undefined)?.code }, "a request of the agent failed"),
  );
  return promise;
}

function checkedState(call: Invocation, value: unknown): Json {
  try {
    return copyJson(value, "state", { values: 0 });
  } catch (error) {
    throw badOutput(call.agentName, "set an invalid state", error);
  }
}

function checkedRequest(call: Invocation, request: SuspendRequest): SuspendRequest {
  try {
    return toSuspendRequest(request);
  } catch (error) {
    throw badOutput(call.agentName, "suspended with an invalid request", error);
  }
}

function sessionOf(turn: OpenTurn, id: string): NonNullable<AgentContext["session"]> {
  return {
    id,
    turnId: turn.id,
    attempt: turn.attempt,
    ...(turn.resumed ? { resumed: true } : undefined),
    ...(turn.userId === undefined ? undefined : { userId: turn.userId }),
  };
}
