const STORE = ["@aixgo/session/backend", "@aixgo/security", "@aixgo/core"];

/** Packages whose work is to load modules that their users name: only these may compute what they import. */
export const LOADERS = Object.freeze(["packages/session-testkit", "packages/cli"]);

/**
 * Which package may import which of ours: the table of the architecture, as data. Third-party packages are knip's matter.
 * An entry without a subpath means the package's main face only; `*` means every face.
 */
const ARROWS = Object.freeze({
  "packages/core": [],
  "packages/security": ["@aixgo/core"],
  "packages/session": ["@aixgo/core", "@aixgo/security"],
  "packages/session-file": STORE,
  "packages/session-redis": STORE,
  "packages/session-postgres": STORE,
  // The kit names errors and messages, which are core's.
  "packages/session-testkit": ["@aixgo/session", "@aixgo/session/backend", "@aixgo/core"],
  "packages/agents": ["@aixgo/core"],
  "packages/migrate-go": ["@aixgo/session", "@aixgo/session/backend", "@aixgo/session-file", "@aixgo/security", "@aixgo/core"],
  "packages/observability": ["@aixgo/core", "@aixgo/security"],
  "packages/openai-agents": ["@aixgo/session", "@aixgo/core"],
  "packages/distributed": ["@aixgo/core", "@aixgo/security"],
  "packages/server": ["*"],
  "packages/cli": ["*"],
  "apps/*": ["*"],
  bench: ["*"],
  "tools/simulator": ["@aixgo/core", "@aixgo/session", "@aixgo/session/backend"],
  tools: [],
  // Not a part of the tools: it takes our packages to pieces.
  "tools/faults": ["*"],
});

/** What the code of a folder may import, or undefined if the table does not know it. @param {string} folder @returns {readonly string[] | undefined} */
export function arrowsOf(folder) {
  /** @type {Readonly<Record<string, readonly string[]>>} */
  const table = ARROWS;
  return table[folder] ?? (folder.startsWith("apps/") ? table["apps/*"] : undefined);
}
