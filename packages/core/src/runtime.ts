import type { Agent, CallOptions, Execute, Reply, ResumeOptions, TurnOptions } from "./agent.ts";
import { shownName } from "./agent-name.ts";
import { createAttachedStream } from "./attached-stream.ts";
import { callNested, performCall } from "./call-path.ts";
import type { CallRequest, CallSite } from "./call.ts";
import {
  checkAttachOptions,
  checkGrace,
  checkHealthTimeout,
  checkResumeOptions,
  checkSignalOption,
  type ReceiveOptions,
  type SendOptions,
  type TurnAttachOptions,
} from "./call-options.ts";
import { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import { DEFAULT_HEALTH_TIMEOUT_MS, type RuntimeHealth } from "./health.ts";
import { createLifecycle } from "./lifecycle.ts";
import { createLimiter } from "./limiter.ts";
import type { MailboxStats } from "./mailbox.ts";
import { createMailboxes } from "./mailboxes.ts";
import type { Json, Message, MessageInput } from "./message.ts";
import { createObserver } from "./observer.ts";
import {
  DEFAULT_AGENT_START_TIMEOUT_MS,
  DEFAULT_MAILBOX_CAPACITY,
  DEFAULT_MAILBOX_MAX_BYTES,
  DEFAULT_SEND_TIMEOUT_MS,
  type Option,
  resolveOptions,
  RUNTIME_OPTION_RULES,
  type RuntimeOptions,
} from "./options.ts";
import { callParallel } from "./parallel.ts";
import { type Dependencies, planPhases } from "./phases.ts";
import { createRegistration, type Registration } from "./registration.ts";
import { createReplyStream, type ReplyStream } from "./reply-stream.ts";
import type { SessionHost } from "./session-host.ts";
import { observeSessions } from "./session-observer.ts";
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
  /**
   * As `start`, phase after phase: an agent's `start` is called when all that `dependencies` says it needs are started and `ready`.
   * Agents that it does not name start in the first phase. Calls and mail to an agent are admitted from the end of its phase.
   *
   * If one fails, or is not ready within `agentStartTimeoutMs`, those that were started are stopped, the last phase first, and it
   * rejects with the agent's name. The signal given to an agent's `start` aborts when the agent stops, never when a phase ends.
   * While a start is under way it waits for that one; when the runtime is started it resolves at once.
   * @throws AixgoError `INVALID_INPUT` for a cycle (`a → b → a`) or self-dependency, `AGENT_NOT_FOUND` for an unknown name; then nothing is started
   */
  startPhased(dependencies: Dependencies, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** What an operator wants to know: each agent by name. Asks every agent's `ready`, each for `timeoutMs` (default 1000) at most. */
  health(options?: { readonly timeoutMs?: number }): Promise<RuntimeHealth>;
  call(agent: string, input: MessageInput, options?: CallOptions): Promise<Reply>;
  stream(agent: string, input: MessageInput, options?: CallOptions): ReplyStream;
  /**
   * One message to several agents at once: what became of each, by name. Every call has the limits of `call`; `signal` ends them all, and
   * `timeoutMs` is the time of all, waiting for slots included. Without agents it resolves with `{}`.
   * @throws AixgoError `INVALID_INPUT` if an agent is named twice, `INVALID_OPTION`, `NOT_STARTED`; anything else is in the outcomes
   */
  callParallel(agents: readonly string[], input: MessageInput, options?: CallOptions): Promise<Record<string, PromiseSettledResult<Reply>>>;
  callWithSession(agent: string, input: MessageInput, sessionId: string, options?: TurnOptions): Promise<Reply>;
  streamWithSession(agent: string, input: MessageInput, sessionId: string, options?: TurnOptions): ReplyStream;
  /**
   * Answers a request of the session's suspended turn, on any node. When none waits any more the turn goes on as a new attempt, and
   * this resolves with its reply; until then with status `suspended` and what still waits.
   *
   * The first answer to a request counts: made again, also by several nodes at once and with another decision, this brings what
   * became of the first one, and goes on with a turn that was cut off or failed since. Throws `ENTRY_NOT_FOUND`, naming what is open, if there is no such request
   * or a restore left it behind; `TURN_ENDED` if its turn was cancelled; and what `callWithSession` throws.
   */
  resume(sessionId: string, requestId: string, decision: Json, options?: ResumeOptions): Promise<Reply>;
  streamResume(sessionId: string, requestId: string, decision: Json, options?: ResumeOptions): ReplyStream;
  /**
   * Follows the session's running turn, in whatever process it runs: each of its messages once, and where it runs in this one what
   * it shows in between. Undefined: none runs, and what was said is in the session.
   *
   * With `after`, everything stored behind that cursor, whichever turn it was of. `reply` is the running attempt's; it is read from
   * the log, so that of a failed turn the recorded error is thrown. Leaving the loop leaves the turn alone; `cancel` stops it.
   * Throws `INVALID_OPTION` for what is no cursor, `INCARNATION_CHANGED` for one of another life of the session.
   */
  attach(sessionId: string, options?: TurnAttachOptions): Promise<ReplyStream | undefined>;
  /** Stops the session's running turn, in whatever process it runs; ends a suspended one. False: there is none. */
  cancelTurn(sessionId: string, options?: { readonly turnId?: string; readonly reason?: string }): Promise<boolean>;
  /**
   * Puts a message into the agent's mailbox; resolves when it lies there. Waits for room up to `sendTimeoutMs`, in order.
   * @throws AixgoError `TIMEOUT` without room in time, `OVERLOADED` when 4096 sends or `mailboxMaxBytes` wait already, `LIMIT_EXCEEDED`
   * for a message of more than `mailboxMaxBytes`, `AGENT_NOT_FOUND` also if the agent is unregistered meanwhile, `NOT_STARTED` also if
   * the runtime stops meanwhile; in each case nothing was sent
   */
  send(agent: string, input: MessageInput, options?: SendOptions): Promise<void>;
  /**
   * `send` to every agent that is registered now, the caller's own included, as one message.
   * @throws AixgoError `BROADCAST_INCOMPLETE` when some did not get it: `details.failed` names them with their codes, `cause` is an
   * `AggregateError` of their errors. All others have it.
   */
  broadcast(input: MessageInput, options?: SendOptions): Promise<void>;
  /**
   * The agent's mail, in order. Each message goes to exactly one of the loops that read it, and is gone then: what must survive belongs
   * into a session. The loop ends when `signal` aborts; and when the agent is unregistered or the runtime stops, after what is left was
   * received. Mail that no loop is there to take is dropped then. May be called before `start`.
   * @throws AixgoError `AGENT_NOT_FOUND`, `INVALID_OPTION`, from the first `next`
   */
  receive(agent: string, options?: ReceiveOptions): AsyncIterable<Message>;
  /** @throws AixgoError `AGENT_NOT_FOUND` */
  mailboxStats(agent: string): MailboxStats;
}

export const DEFAULT_GRACE_MS = 10_000;

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
  const limiter = options.maxConcurrentCalls === undefined ? undefined : createLimiter(options.maxConcurrentCalls);
  const active = new Set<Cancellation>();
  const inFlight = createTally();

  const mail = createMailboxes({
    observer,
    limiter,
    agents,
    bounds: {
      capacity: options.mailboxCapacity ?? DEFAULT_MAILBOX_CAPACITY,
      maxBytes: options.mailboxMaxBytes ?? DEFAULT_MAILBOX_MAX_BYTES,
    },
    sendTimeoutMs: options.sendTimeoutMs ?? DEFAULT_SEND_TIMEOUT_MS,
    admit: (operation, agent) => life.admit(`${operation} to agent`, agent, false),
    checkOpen: (operation) => life.checkOpen(operation),
  });
  const life = createLifecycle({
    observer,
    startTimeoutMs,
    agents,
    active,
    inFlight,
    closeMail: () => mail.closeAll(),
    reopenMail: () => mail.reopen(),
  });
  const site: CallSite = {
    runtime: agents,
    observer,
    sessions: observeSessions(options.sessions, observer),
    limiter,
    live: new Map(),
    timeoutMs: options.timeoutMs,
    active,
    inFlight,
    admit: (agent, nested) => life.admit("the call of agent", agent, nested),
    callNested: (parent, agent, input, nested) => callNested(site, parent, agent, input, nested),
    knows: (agent) => agents.has(agent),
  };

  const perform = (request: CallRequest): Promise<Reply> => performCall(site, request);

  const stream = (request: Omit<CallRequest, "cancellation" | "show">): ReplyStream => {
    const cancellation = new Cancellation();
    return createReplyStream({
      body: (show, left) => perform({ ...request, cancellation, show, left }),
      cancel: (reason) =>
        cancellation.cancel(new AixgoError("CANCELLED", `the call of agent ${shownName(request.agent)} was cancelled: ${reason}`)),
      leavingCancels: request.sessionId === undefined,
    });
  };

  const sessionsFor = (what: string): SessionHost => {
    if (options.sessions === undefined)
      throw new AixgoError("INVALID_OPTION", `${what} needs the option "sessions": createRuntime(withSessionManager(manager))`);
    return options.sessions;
  };

  const answering = async (
    kind: "resume" | "resume-stream",
    sessionId: string,
    resume: { readonly requestId: string; readonly decision: Json },
    resumeOptions: ResumeOptions | undefined,
    call: Pick<CallRequest, "cancellation" | "show" | "left">,
  ): Promise<Reply> => {
    const { principal } = checkResumeOptions(resumeOptions);
    const agent = await sessionsFor("resume").agentOf(sessionId, principal && { principal });
    return perform({ kind, agent, input: "", options: resumeOptions, sessionId, resume, ...call });
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
      mail.close(name);
      if (registration.calls.count === 0) {
        await registration.stop();
        return true;
      }
      // `stop` of the runtime waits for this one as well.
      inFlight.begin();
      registration.calls.whenIdle(() => void registration.stop().finally(() => inFlight.end()));
      return true;
    },
    get: (name) => agents.get(name)?.agent,
    list: () => [...agents.keys()],
    start: async (startOptions) => life.start(checkSignalOption("start", startOptions)),
    async startPhased(dependencies, startOptions) {
      const signal = checkSignalOption("startPhased", startOptions);
      return life.start(signal, planPhases(dependencies, [...agents.keys()]));
    },
    stop: async (stopOptions) => life.stop(checkGrace(stopOptions) ?? DEFAULT_GRACE_MS),
    health: async (healthOptions) => life.health(checkHealthTimeout(healthOptions) ?? DEFAULT_HEALTH_TIMEOUT_MS),
    call: (agent, input, callOptions) => perform({ kind: "call", agent, input, options: callOptions, cancellation: new Cancellation() }),
    stream: (agent, input, callOptions) => stream({ kind: "stream", agent, input, options: callOptions }),
    callParallel: (names, input, callOptions) =>
      callParallel({ perform, checkOpen: (operation) => life.checkOpen(operation) }, names, input, callOptions),
    callWithSession: (agent, input, sessionId, turnOptions) =>
      perform({ kind: "session", agent, input, options: turnOptions, sessionId: sessionId ?? "", cancellation: new Cancellation() }),
    streamWithSession: (agent, input, sessionId, turnOptions) =>
      stream({ kind: "session-stream", agent, input, options: turnOptions, sessionId: sessionId ?? "" }),
    resume: (sessionId, requestId, decision, resumeOptions) =>
      answering("resume", sessionId, { requestId, decision }, resumeOptions, { cancellation: new Cancellation() }),
    streamResume(sessionId, requestId, decision, resumeOptions) {
      const cancellation = new Cancellation();
      return createReplyStream({
        body: (show, left) => answering("resume-stream", sessionId, { requestId, decision }, resumeOptions, { cancellation, show, left }),
        cancel: (reason) =>
          cancellation.cancel(new AixgoError("CANCELLED", `the answer to request ${shownName(requestId)} was cancelled: ${reason}`)),
        leavingCancels: false,
      });
    },
    async attach(sessionId, attachOptions) {
      const { after, signal, principal } = checkAttachOptions(attachOptions);
      const sessions = sessionsFor("attach");
      const attached = await sessions.attach(sessionId, { ...(after && { after }), ...(principal && { principal }) });
      if (attached === undefined) return undefined;
      const live = site.live.get(sessionId);
      return createAttachedStream({
        attached,
        live: live?.turnId === attached.id ? live : undefined,
        signal,
        cancel: (reason) => sessions.cancelTurn(sessionId, { turnId: attached.id, ...(reason !== undefined && { reason }) }),
      });
    },
    async cancelTurn(sessionId, cancelOptions) {
      return sessionsFor("cancelTurn").cancelTurn(sessionId, cancelOptions);
    },
    send: (agent, input, sendOptions) => mail.send(agent, input, sendOptions),
    broadcast: (input, sendOptions) => mail.broadcast(input, sendOptions),
    receive: (agent, receiveOptions) => mail.receive(agent, receiveOptions),
    mailboxStats: (agent) => mail.stats(agent),
    [Symbol.asyncDispose]: () => runtime.stop(),
  };
  return runtime;
}
