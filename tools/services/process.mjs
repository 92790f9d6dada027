import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const KEPT_CHARACTERS = 20_000;
const STOP_MS = 20_000;

/** Waits for the end of its parent: the pipe on its input is closed then, however the parent died. */
const GUARD = 'read -r _; kill -KILL "$1" 2>/dev/null; sleep 0.3; [ -z "$2" ] || rm -rf -- "$2"';

/**
 * @typedef {object} Service
 * @property {number} pid
 * @property {() => boolean} running
 * @property {() => string} output the end of what it has said
 * @property {(signal?: NodeJS.Signals) => Promise<void>} stop sends SIGTERM, or that signal, and waits for the end; after 20 s SIGKILL
 * @property {() => Promise<void>} kill SIGKILL, and waits for the end
 * @property {(signal: NodeJS.Signals) => void} signal sends it, and does not wait
 * @property {Promise<void>} ended
 */

/**
 * Starts a server that never outlives this process: beside it a guard waits, which kills it when this process ends in
 * whatever way, SIGKILL included. The server must stay in the foreground.
 * @param {string} program @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, uid?: number, gid?: number, folder?: string }} [options] `folder` is removed by the guard, too
 * @returns {Service}
 */
export function startService(program, args, { folder = "", ...options } = {}) {
  // A session of its own: a Ctrl-C in the terminal reaches only those who know what to do about it.
  const child = spawn(program, [...args], { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const { pid } = child;
  let output = "";
  let running = pid !== undefined;
  const keep = (/** @type {string} */ text) => {
    output = (output + text).slice(-KEPT_CHARACTERS);
  };
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  child.on("error", (error) => keep(error.message));
  if (pid === undefined) {
    throw new Error(`${program} could not be started`);
  }
  const guard = spawn("/bin/sh", ["-c", GUARD, "guard", String(pid), folder], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  guard.stdin.on("error", () => {});
  guard.unref();
  const ended = once(child, "exit").then(
    () => {
      running = false;
      // The number may belong to another process soon.
      guard.kill("SIGKILL");
      guard.stdin.destroy();
    },
    () => {},
  );
  // Neither keeps this process from ending: that is what the guard is for.
  child.unref();
  for (const stream of [child.stdout, child.stderr, guard.stdin]) /** @type {import("node:net").Socket} */ (stream).unref();

  /** @param {NodeJS.Signals} signal */
  async function end(signal) {
    if (!running) return;
    child.kill(signal);
    const late = new AbortController();
    const timer = pause(STOP_MS, undefined, { signal: late.signal }).then(
      () => child.kill("SIGKILL"),
      () => {},
    );
    await ended;
    late.abort();
    await timer;
  }

  return {
    pid,
    running: () => running,
    output: () => output,
    stop: (signal = "SIGTERM") => end(signal),
    kill: () => end("SIGKILL"),
    signal: (signal) => void (running && child.kill(signal)),
    ended,
  };
}

/** A new folder for a server's files, in the system's folder for temporary ones. @param {string} name */
export function temporaryFolder(name) {
  const path = mkdtempSync(join(tmpdir(), `aixgo-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/**
 * Asks until the answer is yes, for `patienceMs` at most. An error of `probe` counts as no.
 * @param {string} what @param {() => Promise<boolean> | boolean} probe @param {{ patienceMs?: number, everyMs?: number, service?: Service }} [options] `service`: given up at once when it ends
 */
export async function waitFor(what, probe, { patienceMs = 20_000, everyMs = 20, service } = {}) {
  const end = performance.now() + patienceMs;
  for (;;) {
    /** @type {unknown} */
    let last;
    try {
      if (await probe()) return;
    } catch (error) {
      last = error;
    }
    const said = service === undefined ? "" : `\n${service.output()}`;
    if (service !== undefined && !service.running()) throw new Error(`${what}: the server has ended${said}`, { cause: last });
    if (performance.now() > end) throw new Error(`${what}: waited ${patienceMs} ms in vain${said}`, { cause: last });
    await pause(everyMs);
  }
}
