import { Cancellation } from "./cancellation.ts";
import { isAixgoError } from "./errors.ts";
import { askReady } from "./readiness.ts";
import type { Registration } from "./registration.ts";

export interface AgentHealth {
  /** `stopped` also for an agent that was registered after the start and that nobody has called yet. */
  readonly status: "ready" | "not-ready" | "starting" | "stopped";
  /** Calls in which it works, abandoned ones included. */
  readonly calls: number;
  /** Code of what `ready` threw, or `TIMEOUT` if it did not answer. */
  readonly problem?: string;
}

/** What an operator sees of a runtime. Names and counts only, no content. */
export interface RuntimeHealth {
  readonly status: "idle" | "starting" | "started" | "stopping";
  /** Whether calls are taken and every agent is ready. */
  readonly ready: boolean;
  readonly agents: Readonly<Record<string, AgentHealth>>;
}

/** Longest time that `health` waits for one agent's `ready`. */
export const DEFAULT_HEALTH_TIMEOUT_MS = 1_000;

/** Asks every agent at once, each for `timeoutMs` at most. Never rejects. */
export async function healthOf(status: RuntimeHealth["status"], agents: Iterable<Registration>, timeoutMs: number): Promise<RuntimeHealth> {
  const entries = await Promise.all([...agents].map(async (agent) => [agent.name, await agentHealth(status, agent, timeoutMs)] as const));
  const ready = status === "started" && entries.every(([, agent]) => agent.status === "ready");
  return { status, ready, agents: Object.fromEntries(entries) };
}

async function agentHealth(status: RuntimeHealth["status"], registration: Registration, timeoutMs: number): Promise<AgentHealth> {
  const calls = registration.calls.count;
  if (registration.starting) return { status: "starting", calls };
  if (status === "idle" || !registration.running) return { status: "stopped", calls };
  try {
    const ready = await askReady(registration, new Cancellation(), timeoutMs);
    return { status: ready ? "ready" : "not-ready", calls };
  } catch (error) {
    return { status: "not-ready", calls, problem: isAixgoError(error) ? error.code : "ERROR" };
  }
}
