/**
 * Modules of `session` that hold its promises, and the tests of each: what a module promises is to be seen there, not only
 * by chance in a test of something else.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const PLAN = {
  chain: ["chain", "log-format", "integrity"],
  line: ["log-format", "session"],
  fold: ["fold", "log-format"],
  history: ["history"],
  once: ["session", "writer"],
  lease: ["turn", "exclusive-turns"],
  suspension: ["suspend", "runtime-suspend"],
  tree: ["session", "integrity", "feed"],
  writer: ["writer", "session"],
  "turn-start": ["turn", "exclusive-turns", "suspend"],
  "open-turn": ["turn", "exclusive-turns", "suspend"],
  turn: ["turn", "exclusive-turns", "suspend", "attachments"],
};
