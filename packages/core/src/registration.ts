import type { Agent, Execute } from "./agent.ts";
import { checkAgentName } from "./agent-name.ts";
import { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import { agentError, quiet, textOfError } from "./failure.ts";
import { runWithoutFrame } from "./frame.ts";
import { createTally, type Tally } from "./tally.ts";
import type { Logger } from "./telemetry.ts";

/** Longest time that `stop` of one agent is waited for. */
const AGENT_STOP_MS = 10_000;

/** An agent under the name it was registered with, and its life. */
export interface Registration {
  readonly name: string;
  /** What the caller handed over: methods are called on it, so that classes keep their `this` and private fields. */
  readonly source: Agent;
  /** The same agent under its registered name. */
  readonly agent: Agent;
  /** Calls in which the agent works. */
  readonly calls: Tally;
  /** True: no start is needed. */
  readonly running: boolean;
  /** A start is under way. */
  readonly starting: boolean;
  /** Starts the agent unless it runs; concurrent callers share one start, and a failed one is tried again by the next. */
  ensureStarted(): Promise<void>;
  /** Aborts a start under way, stops the agent if it ran. Never rejects: what `stop` throws is logged. */
  stop(): Promise<void>;
}

export function createRegistration(
  given: Agent | string,
  second: Agent | Execute | undefined,
  startTimeoutMs: number,
  logger: Logger,
): Registration {
  const source = sourceOf(given, second);
  const name = typeof given === "string" ? given : source.name;
  checkAgentName(name);
  checkAgent(name, source);

  let running = source.start === undefined;
  let starting: Promise<void> | undefined;
  // Aborts when the agent stops, not when its start is over: agents keep the signal for their background work.
  let life = new AbortController();

  const start = async (): Promise<void> => {
    const own = (life = new AbortController());
    const bound = new Cancellation();
    bound.follow(own.signal, `the start of agent "${name}"`);
    bound.expireAfter(startTimeoutMs, `agent "${name}" did not start within ${startTimeoutMs} ms`);
    try {
      // Inside an async function, so that a start that throws at once is a rejection as well. A late agent is started by somebody's
      // call: the loops that it begins are not that call's work.
      await bound.race(runWithoutFrame(async () => source.start?.(own.signal)));
      running = true;
    } catch (error) {
      own.abort(error);
      throw agentError(name, error);
    } finally {
      bound.release();
      starting = undefined;
    }
  };

  return {
    name,
    source,
    agent: named(name, source),
    calls: createTally(),
    get running() {
      return running;
    },
    get starting() {
      return starting !== undefined;
    },
    ensureStarted() {
      if (running) return Promise.resolve();
      return (starting ??= quiet(start()));
    },
    async stop() {
      const begun = starting;
      life.abort(new AixgoError("CANCELLED", `agent "${name}" was stopped`));
      if (begun !== undefined) await begun.catch(() => {});
      if (!running) return;
      running = source.start === undefined;
      if (source.stop === undefined) return;
      const bound = new Cancellation();
      bound.expireAfter(AGENT_STOP_MS, `agent "${name}" did not stop within ${AGENT_STOP_MS} ms`);
      try {
        await bound.race((async () => source.stop?.())());
      } catch (error) {
        logger.error({ agent: name, error: textOfError(error) }, "an agent failed to stop");
      } finally {
        bound.release();
      }
    },
  };
}

function sourceOf(given: Agent | string, second: Agent | Execute | undefined): Agent {
  if (typeof given !== "string") {
    const problem = agentProblem(given);
    if (problem !== undefined) throw new AixgoError("INVALID_INPUT", `register: what was given ${problem}`);
    return given;
  }
  if (typeof second === "function") return { name: given, execute: second };
  return second as Agent;
}

function checkAgent(name: string, agent: unknown): void {
  const problem = agentProblem(agent);
  if (problem !== undefined) throw new AixgoError("INVALID_INPUT", `register: agent "${name}" ${problem}`);
}

function agentProblem(agent: unknown): string | undefined {
  if (typeof agent !== "object" || agent === null) return "is neither a function nor an object with execute";
  const given = agent as Record<string, unknown>;
  if (typeof given["execute"] !== "function") return "has no execute function";
  for (const method of ["start", "stop", "ready"]) {
    if (given[method] !== undefined && typeof given[method] !== "function") return `has a ${method} that is not a function`;
  }
  const sessions = given["sessions"];
  return sessions === undefined || sessions === "enabled" || sessions === "disabled"
    ? undefined
    : "has a sessions that is neither enabled nor disabled";
}

/** The agent itself if it is called that already; otherwise a view of it, for a spread would lose what a class inherits. */
function named(name: string, source: Agent): Agent {
  if (source.name === name) return source;
  return {
    name,
    ...(source.role === undefined ? undefined : { role: source.role }),
    ...(source.sessions === undefined ? undefined : { sessions: source.sessions }),
    execute: (input, context) => source.execute(input, context),
    ...(source.start && { start: (signal: AbortSignal) => source.start?.(signal) ?? Promise.resolve() }),
    ...(source.stop && { stop: () => source.stop?.() ?? Promise.resolve() }),
    ...(source.ready && { ready: () => source.ready?.() ?? true }),
  };
}
