import { shownName } from "./agent-name.ts";
import { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import { agentError, quiet } from "./failure.ts";
import { currentFrame, isWithin } from "./frame.ts";
import { healthOf, type RuntimeHealth } from "./health.ts";
import type { Observer } from "./observer.ts";
import { startUntilReady } from "./readiness.ts";
import type { Registration } from "./registration.ts";
import type { Tally } from "./tally.ts";

/** How long `stop` waits, after the abort, for agents that do not heed it. */
const ABORT_WAIT_MS = 5_000;

type State = "idle" | "starting" | "started" | "stopping" | "aborting";
type Phases = readonly (readonly string[])[];

/** What a runtime's life touches. */
export interface LifecycleSite {
  readonly observer: Observer;
  readonly startTimeoutMs: number;
  readonly agents: ReadonlyMap<string, Registration>;
  /** Calls not yet answered. */
  readonly active: ReadonlySet<Cancellation>;
  /** Calls, and agents that still work. */
  readonly inFlight: Tally;
  /** No mail is taken any more. */
  closeMail(): void;
  reopenMail(): void;
}

/** When a runtime takes calls, and in which order its agents start and stop. */
export interface Lifecycle {
  /** The agent, if calls are admitted now; throws NOT_STARTED or AGENT_NOT_FOUND. */
  admit(operation: string, agent: string, nested: boolean): Registration;
  /** Throws NOT_STARTED unless some calls are admitted now. */
  checkOpen(operation: string): void;
  /** All agents at once; or phase after phase, each when the agents of the one before it are ready. */
  start(signal: AbortSignal | undefined, phases?: Phases): Promise<void>;
  stop(graceMs: number): Promise<void>;
  health(timeoutMs: number): Promise<RuntimeHealth>;
}

export function createLifecycle(site: LifecycleSite): Lifecycle {
  const { agents, observer } = site;
  let state: State = "idle";
  let starting: { readonly done: Promise<void>; readonly bound: Cancellation } | undefined;
  let stopping: Promise<void> | undefined;
  /** Phases whose start was begun, for stopping in the reverse order. */
  let begun: (readonly string[])[] = [];
  /** Agents of completed phases: the next phase may call them. */
  const opened = new Set<string>();

  const notStarted = (operation: string): AixgoError =>
    new AixgoError("NOT_STARTED", `${operation} was refused: the runtime is ${state === "idle" ? "not started" : state}`);
  // What a running call needs is let in while the runtime waits for that call to end.
  const finishes = (nested: boolean): boolean => state === "stopping" && (nested || isWithin(currentFrame(), agents));

  const startAgent = async (registration: Registration, untilReady: boolean, bound: Cancellation): Promise<void> => {
    try {
      await (untilReady ? startUntilReady(registration, bound, site.startTimeoutMs) : registration.ensureStarted());
    } catch (error) {
      // Unregistered meanwhile: its start was stopped with it.
      if (agents.get(registration.name) === registration) throw error;
    }
  };

  const startAll = async (bound: Cancellation, given: Phases | undefined): Promise<void> => {
    try {
      for (const phase of given ?? [[...agents.keys()]]) {
        bound.throwIfCancelled();
        begun.push(phase);
        const registrations = phase.flatMap((name) => agents.get(name) ?? []);
        await bound.race(Promise.all(registrations.map((registration) => startAgent(registration, given !== undefined, bound))));
        for (const name of phase) opened.add(name);
      }
      bound.throwIfCancelled();
      state = "started";
    } catch (error) {
      state = "aborting";
      // Ends the waiting for agents of the same phase.
      bound.cancel(agentError("runtime", error));
      site.closeMail();
      if (opened.size > 0) await abortCalls();
      await stopAgents();
      throw error;
    } finally {
      bound.release();
      starting = undefined;
    }
  };

  const abortCalls = async (): Promise<void> => {
    for (const call of site.active) call.cancel(new AixgoError("CANCELLED", "the call was cancelled: the runtime stops"));
    if (!(await site.inFlight.idleWithin(ABORT_WAIT_MS)))
      observer.logger.warn({}, "the runtime stops although an agent ignores that its call was cancelled");
  };

  /** Those that came after the start first, then the phases in reverse; the agents of one phase at once. */
  const stopAgents = async (): Promise<void> => {
    const phased = new Set(begun.flat());
    const late = [...agents.keys()].filter((name) => !phased.has(name));
    for (const phase of [late, ...begun.toReversed()]) await Promise.all(phase.flatMap((name) => agents.get(name)?.stop() ?? []));
    begun = [];
    opened.clear();
    state = "idle";
    site.reopenMail();
  };

  const shutDown = async (graceMs: number): Promise<void> => {
    state = "stopping";
    site.closeMail();
    if (!(await site.inFlight.idleWithin(graceMs))) {
      state = "aborting";
      await abortCalls();
    }
    state = "aborting";
    await stopAgents();
    stopping = undefined;
  };

  return {
    admit(operation, agent, nested) {
      const admitted = state === "started" || finishes(nested) || (state === "starting" && opened.has(agent));
      if (!admitted) throw notStarted(`${operation} ${shownName(agent)}`);
      const registration = agents.get(agent);
      if (registration === undefined) throw new AixgoError("AGENT_NOT_FOUND", `there is no agent ${shownName(agent)}`);
      return registration;
    },
    checkOpen(operation) {
      if (state !== "started" && !finishes(false) && !(state === "starting" && opened.size > 0)) throw notStarted(operation);
    },
    async start(signal, phases) {
      if (state === "started") return;
      if (starting === undefined) {
        const bound = new Cancellation();
        if (signal !== undefined) bound.follow(signal, "the start of the runtime");
        if (stopping === undefined) state = "starting";
        // In a tick of its own: an agent whose start calls back finds the runtime starting. A start that waits for a stop to end is
        // under way: another stop ends it.
        const before = stopping ?? Promise.resolve();
        const begin = async (): Promise<void> => {
          if (bound.reason === undefined) {
            state = "starting";
            return startAll(bound, phases);
          }
          state = "idle";
          starting = undefined;
          throw bound.reason;
        };
        starting = { bound, done: quiet(before.then(begin)) };
      }
      return starting.done;
    },
    async stop(graceMs) {
      if (starting !== undefined) {
        starting.bound.cancel(new AixgoError("CANCELLED", "the start of the runtime was cancelled: it was stopped"));
        await starting.done.catch(() => {});
      }
      if (state === "started") stopping = shutDown(graceMs);
      await stopping;
    },
    health: (timeoutMs) => healthOf(state === "aborting" ? "stopping" : state, agents.values(), timeoutMs),
  };
}
