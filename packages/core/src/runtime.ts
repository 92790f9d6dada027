import type { Agent, CallOptions, Execute, Reply, TurnOptions } from "./agent.ts";
import { callNested, performCall } from "./call-path.ts";
import type { CallRequest, CallSite } from "./call.ts";
import { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import { quiet } from "./failure.ts";
import { currentFrame, isWithin } from "./frame.ts";
import { createLimiter } from "./limiter.ts";
import type { MessageInput } from "./message.ts";
import { createObserver } from "./observer.ts";
import { DEFAULT_AGENT_START_TIMEOUT_MS, type Option, resolveOptions, RUNTIME_OPTION_RULES, type RuntimeOptions } from "./options.ts";
import { createRegistration, type Registration } from "./registration.ts";
import { createReplyStream, type ReplyStream } from "./reply-stream.ts";
import { createTally } from "./tally.ts";
import { silentLogger } from "./telemetry.ts";

export interface Runtime extends AsyncDisposable {
  /** The registered name is the agent's name; twice is `AGENT_EXISTS`. An agent registered after `start` is started by its first call. */
  register(agent: Agent): this;
  register(name: string, agent: Agent | Execute): this;
  /** New calls are refused at once, running ones go on; the agent's `stop` is called when they have ended. False: there was none. */
  unregister(name: string): Promise<boolean>;
  get(name: string): Agent | undefined;
  list(): readonly string[];
  /** Starts every registered agent, all at once; if one fails, the others are stopped and it rejects. Calls before it are `NOT_STARTED`. */
  start(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Refuses new calls, lets running ones end within `graceMs`, then aborts them, waits up to 5 s for agents that ignore that, and stops
   * the agents. Idempotent; `start` may follow.
   * @default graceMs 10000
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
  call(agent: string, input: MessageInput, options?: CallOptions): Promise<Reply>;
  stream(agent: string, input: MessageInput, options?: CallOptions): ReplyStream;
  callWithSession(agent: string, input: MessageInput, sessionId: string, options?: TurnOptions): Promise<Reply>;
  streamWithSession(agent: string, input: MessageInput, sessionId: string, options?: TurnOptions): ReplyStream;
  /** Stops the session's running turn, in whatever process it runs. False: none runs. */
  cancelTurn(sessionId: string, options?: { readonly turnId?: string; readonly reason?: string }): Promise<boolean>;
}

export const DEFAULT_GRACE_MS = 10_000;
/** How long `stop` waits, after the abort, for agents that do not heed it. */
const ABORT_WAIT_MS = 5_000;
const MAX_GRACE_MS = 2_147_483_647;

type State = "idle" | "starting" | "started" | "stopping" | "aborting";

/**
 * A runtime that runs agents in this process. Nothing happens before `start`.
 *
 * @throws AixgoError `INVALID_OPTION` for an option that is unknown or does not fit, with its name
 */
export function createRuntime(...given: readonly Option<RuntimeOptions>[]): Runtime {
  const options = resolveOptions("createRuntime", given, RUNTIME_OPTION_RULES);
  const startTimeoutMs = options.agentStartTimeoutMs ?? DEFAULT_AGENT_START_TIMEOUT_MS;
  const observer = createObserver(options.logger ?? silentLogger, options.metrics, options.tracing);
  const agents = new Map<string, Registration>();
  let state: State = "idle";
  let starting: { readonly done: Promise<void>; readonly bound: Cancellation } | undefined;
  let stopping: Promise<void> | undefined;

  const site: CallSite = {
    runtime: agents,
    observer,
    sessions: options.sessions,
    limiter: options.maxConcurrentCalls === undefined ? undefined : createLimiter(options.maxConcurrentCalls),
    timeoutMs: options.timeoutMs,
    active: new Set(),
    inFlight: createTally(),
    admit(agent, nested) {
      // What a running call needs is let in while the runtime waits for that call to end.
      const admitted = state === "started" || (state === "stopping" && (nested || isWithin(currentFrame(), agents)));
      if (!admitted)
        throw new AixgoError(
          "NOT_STARTED",
          `the call of agent ${shown(agent)} was refused: the runtime is ${state === "idle" ? "not started" : state}`,
        );
      const registration = agents.get(agent);
      if (registration === undefined) throw new AixgoError("AGENT_NOT_FOUND", `there is no agent ${shown(agent)}`);
      return registration;
    },
    callNested: (parent, agent, input, nested) => callNested(site, parent, agent, input, nested),
    knows: (agent) => agents.has(agent),
  };

  const startAll = async (bound: Cancellation): Promise<void> => {
    const registrations = [...agents.values()];
    const start = async (registration: Registration): Promise<void> => {
      try {
        await registration.ensureStarted();
      } catch (error) {
        // Unregistered meanwhile: its start was stopped with it.
        if (agents.get(registration.name) === registration) throw error;
      }
    };
    try {
      bound.throwIfCancelled();
      await bound.race(Promise.all(registrations.map(start)));
      bound.throwIfCancelled();
      state = "started";
    } catch (error) {
      await Promise.all([...agents.values()].map((registration) => registration.stop()));
      state = "idle";
      throw error;
    } finally {
      bound.release();
      starting = undefined;
    }
  };

  const shutDown = async (graceMs: number): Promise<void> => {
    state = "stopping";
    if (!(await site.inFlight.idleWithin(graceMs))) {
      state = "aborting";
      for (const call of site.active) call.cancel(new AixgoError("CANCELLED", "the call was cancelled: the runtime stops"));
      if (!(await site.inFlight.idleWithin(ABORT_WAIT_MS)))
        observer.logger.warn({}, "the runtime stops although an agent ignores that its call was cancelled");
    }
    state = "aborting";
    await Promise.all([...agents.values()].map((registration) => registration.stop()));
    state = "idle";
    stopping = undefined;
  };

  const perform = (request: CallRequest): Promise<Reply> => performCall(site, request);

  const stream = (request: Omit<CallRequest, "cancellation" | "show">): ReplyStream => {
    const cancellation = new Cancellation();
    return createReplyStream({
      body: (show) => perform({ ...request, cancellation, show }),
      cancel: (reason) =>
        cancellation.cancel(new AixgoError("CANCELLED", `the call of agent ${shown(request.agent)} was cancelled: ${reason}`)),
      leavingCancels: request.sessionId === undefined,
    });
  };

  const runtime: Runtime = {
    register(first: Agent | string, second?: Agent | Execute) {
      const registration = createRegistration(first, second, startTimeoutMs, observer.logger);
      if (agents.has(registration.name)) throw new AixgoError("AGENT_EXISTS", `register: there is an agent "${registration.name}" already`);
      agents.set(registration.name, registration);
      return runtime;
    },
    async unregister(name) {
      const registration = agents.get(name);
      if (registration === undefined) return false;
      agents.delete(name);
      if (registration.calls.count === 0) {
        await registration.stop();
        return true;
      }
      // `stop` of the runtime waits for this one as well.
      site.inFlight.begin();
      registration.calls.whenIdle(() => void registration.stop().finally(() => site.inFlight.end()));
      return true;
    },
    get: (name) => agents.get(name)?.agent,
    list: () => [...agents.keys()],
    async start({ signal } = {}) {
      if (stopping !== undefined) await stopping;
      if (state === "started") return;
      if (starting === undefined) {
        const bound = new Cancellation();
        if (signal !== undefined) bound.follow(signal, "the start of the runtime");
        state = "starting";
        // In a tick of its own: an agent whose start calls back finds the runtime starting.
        starting = { bound, done: quiet(Promise.resolve().then(() => startAll(bound))) };
      }
      return starting.done;
    },
    async stop({ graceMs = DEFAULT_GRACE_MS } = {}) {
      if (typeof graceMs !== "number" || !(graceMs >= 0 && graceMs <= MAX_GRACE_MS)) {
        throw new AixgoError("INVALID_OPTION", `stop: the option "graceMs" must be a number of milliseconds from 0 to ${MAX_GRACE_MS}`);
      }
      if (starting !== undefined) {
        starting.bound.cancel(new AixgoError("CANCELLED", "the start of the runtime was cancelled: it was stopped"));
        await starting.done.catch(() => {});
      }
      if (state === "started") stopping = shutDown(graceMs);
      await stopping;
    },
    call: (agent, input, callOptions) => perform({ kind: "call", agent, input, options: callOptions, cancellation: new Cancellation() }),
    stream: (agent, input, callOptions) => stream({ kind: "stream", agent, input, options: callOptions }),
    callWithSession: (agent, input, sessionId, turnOptions) =>
      perform({ kind: "session", agent, input, options: turnOptions, sessionId: sessionId ?? "", cancellation: new Cancellation() }),
    streamWithSession: (agent, input, sessionId, turnOptions) =>
      stream({ kind: "session-stream", agent, input, options: turnOptions, sessionId: sessionId ?? "" }),
    async cancelTurn(sessionId, cancelOptions) {
      if (options.sessions === undefined)
        throw new AixgoError("INVALID_OPTION", 'cancelTurn needs the option "sessions": createRuntime(withSessionManager(manager))');
      return options.sessions.cancelTurn(sessionId, cancelOptions);
    },
    [Symbol.asyncDispose]: () => runtime.stop(),
  };
  return runtime;
}

/** A name as the caller gave it: short, on one line. */
function shown(name: unknown): string {
  return typeof name === "string" ? JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name) : `of type ${typeof name}`;
}
