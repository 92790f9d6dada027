import { AixgoError, isAixgoError } from "./errors.ts";

/** Longest foreign text that is taken into a message of ours. */
const MAX_TEXT = 1_000;

/** What a thrown value says, whatever it is: foreign code may throw `undefined`, or objects whose members throw. */
export function textOfError(error: unknown): string {
  try {
    const text =
      error instanceof Error
        ? error.message
        : typeof error === "string"
          ? error
          : `threw ${typeof error === "object" && error !== null ? "an object" : String(error)}`;
    return text.slice(0, MAX_TEXT);
  } catch {
    return "threw a value that cannot be shown";
  }
}

/** An error of ours passes; anything else is `AGENT_FAILED` with it as cause. The session layer redacts what it records. */
export function agentError(agent: string, error: unknown): AixgoError {
  if (isAixgoError(error)) return error;
  return new AixgoError("AGENT_FAILED", `agent "${agent}" failed: ${textOfError(error)}`, { cause: error });
}

/** What an agent handed over is not what it may hand over: the fault is the agent's, not the caller's. */
export function badOutput(agent: string, what: string, error: unknown): AixgoError {
  return new AixgoError("AGENT_FAILED", `agent "${agent}" ${what}: ${textOfError(error)}`, { cause: error });
}

/** For promises whose failure is told elsewhere, or that nobody may be waiting for. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
