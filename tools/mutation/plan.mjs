/**
 * Modules that hold the promises of a package, and the tests of each: what a module promises is to be seen there, not only by
 * chance in a test of something else. A module is named by package and file.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const PLAN = {
  "session/line": ["line", "log-format"],
  "session/chain": ["chain", "log-format", "integrity"],
  "session/fold": ["fold", "log-format"],
  "session/once": ["append-once", "append-at", "session"],
  "session/lease": ["lease-keeper"],
  "session/suspension": ["suspension", "suspend", "suspended-session"],
  "session/tree": ["tree", "integrity"],
  "session/turn-start": ["turn-start", "turn", "exclusive-turns", "suspend", "suspended-session"],
  "session/open-turn": ["open-turn", "turn-start", "turn", "exclusive-turns", "suspend", "suspended-session"],
  "session/writer": ["writer-groups", "writer-pauses", "writer"],
  "session/turn": ["turn-entries", "turn-trouble", "turn", "exclusive-turns", "suspend", "suspended-session"],
  "session/log": ["log", "log-tip", "session"],
  "session/history": ["history"],
  "session-file/recovery": ["judge", "recover"],
  "session-file/journal": ["journal", "journal-access", "journal-trouble", "lease", "faults", "half-batch", "damaged"],
  "session-file/open-log": ["open-log", "open-log-trouble", "half-batch", "opened-log"],
  "session-file/lock-engine": ["locks", "lock-fallback"],
  "session-file/stripes": ["locks", "lock-pauses"],
  "session-file/lease": ["lease-file", "lease"],
};

/** @param {string} name a module of the plan */
export function pathsOf(name) {
  const [folder = "", module = ""] = name.split("/");
  const tests = (PLAN[name] ?? []).map((test) => `packages/${folder}/test/${test}.test.ts`);
  return { folder: `packages/${folder}`, source: `packages/${folder}/src/${module}.ts`, tests };
}
