import { Cancellation } from "./cancellation.ts";
import type { AixgoError } from "./errors.ts";
import { agentError } from "./failure.ts";
import type { Registration } from "./registration.ts";

/** Pauses between two questions of `waitUntilReady`: the first short, then longer. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 250;

/**
 * Asks the agent. One that has no `ready` is. Rejects with what `ready` throws (`AGENT_FAILED`), with the reason of `within`, or with
 * `TIMEOUT` after `timeoutMs`.
 */
export async function askReady(registration: Registration, within: Cancellation, timeoutMs: number | undefined): Promise<boolean> {
  const { name, source } = registration;
  if (source.ready === undefined) return true;
  const bound = new Cancellation();
  try {
    bound.within(within);
    if (timeoutMs !== undefined) bound.expireAfter(timeoutMs, `agent "${name}" did not say within ${timeoutMs} ms whether it is ready`);
    const asked: unknown = source.ready();
    const ready: unknown = typeof asked === "object" && asked !== null ? await bound.race(asked as PromiseLike<unknown>) : asked;
    return ready === true;
  } catch (error) {
    throw agentError(name, error);
  } finally {
    bound.release();
  }
}

/** Starts the agent and asks it until it is ready, all within `timeoutMs`. */
export async function startUntilReady(registration: Registration, within: Cancellation, timeoutMs: number): Promise<void> {
  const { name } = registration;
  const bound = new Cancellation();
  try {
    bound.within(within);
    bound.expireAfter(timeoutMs, `agent "${name}" was not ready within ${timeoutMs} ms of its start`);
    await bound.race(registration.ensureStarted());
    for (
      let pauseMs = FIRST_PAUSE_MS;
      !(await askReady(registration, bound, undefined));
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    ) {
      await pause(pauseMs, bound);
    }
  } finally {
    bound.release();
  }
}

/** Leaves no timer behind when it is cancelled. */
function pause(ms: number, bound: Cancellation): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancelled = (reason: AixgoError): void => {
      clearTimeout(timer);
      reject(reason);
    };
    const timer = setTimeout(() => {
      bound.offCancel(cancelled);
      resolve();
    }, ms);
    bound.onCancel(cancelled);
  });
}
