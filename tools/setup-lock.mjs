import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** The holder touches its lock this often; a lock that nobody touched for so long was left by a setup that was killed. */
const BEAT_MS = 1_000;
const STALE_MS = 10_000;
const POLL_MS = 200;

/**
 * Runs `body` while no other process does with the same lock file. Waits for others; a lock left by a killed process is taken over.
 * @template T @param {string} file @param {() => Promise<T>} body @param {{ onWait?: () => void, staleMs?: number }} [options] @returns {Promise<T>}
 */
export async function withLock(file, body, { onWait, staleMs = STALE_MS } = {}) {
  const token = `${process.pid} ${randomUUID()}`;
  mkdirSync(dirname(file), { recursive: true });
  for (let waited = false; !take(file, token);) {
    if (isAbandoned(file, staleMs)) {
      evict(file, staleMs);
      continue;
    }
    if (!waited) onWait?.();
    waited = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const beat = setInterval(() => {
    try {
      const now = new Date();
      utimesSync(file, now, now);
    } catch {
      // Evicted while this machine slept: the other setup does the same work again.
    }
  }, BEAT_MS);
  const release = () => {
    if (readToken(file) === token) rmSync(file, { force: true });
  };
  process.once("exit", release);
  try {
    return await body();
  } finally {
    clearInterval(beat);
    process.removeListener("exit", release);
    release();
  }
}

/** @param {string} file @param {string} token */
function take(file, token) {
  try {
    writeFileSync(file, token, { flag: "wx" });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "EEXIST") return false;
    throw error;
  }
}

/** @param {string} file @param {number} staleMs */
function isAbandoned(file, staleMs) {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > staleMs;
}

/** Moves the lock away first: of several waiters only one succeeds, and a lock that was renewed meanwhile is put back. @param {string} file @param {number} staleMs */
function evict(file, staleMs) {
  const aside = `${file}.${randomUUID()}`;
  try {
    renameSync(file, aside);
    if (!isAbandoned(aside, staleMs)) writeFileSync(file, readFileSync(aside), { flag: "wx" });
  } catch {
    // Another waiter was faster.
  } finally {
    rmSync(aside, { force: true });
  }
}

/** @param {string} file */
function readToken(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
