import { setTimeout as pause } from "node:timers/promises";
import { isBusy } from "./sqlite-errors.ts";

const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 32;

/**
 * Tries until no other process is in the way. It waits between attempts and not inside SQLite, whose own waiting would stop the
 * whole process; the pauses are jittered so that those who wait do not keep meeting each other. After `timeoutMs` it throws what SQLite said.
 */
export async function patiently<T>(timeoutMs: number, attempt: () => T): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (let most = FIRST_PAUSE_MS; ; most = Math.min(most * 2, LONGEST_PAUSE_MS)) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= end) throw error;
    }
    await pause(most * (0.5 + Math.random() / 2));
  }
}
