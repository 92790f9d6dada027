import { shownName } from "./agent-name.ts";
import { AixgoError } from "./errors.ts";
import { isPlainObject, kindOf } from "./json.ts";

/** Who needs whom: `{ writer: ["search", "memory"] }` starts `search` and `memory` before `writer`. */
export type Dependencies = Readonly<Record<string, readonly string[]>>;

/**
 * Agents by phase: each lies one phase after the last of those it needs. Agents that `dependencies` does not name need nobody and
 * lie in the first phase. Within a phase they keep the order of `agents`.
 *
 * @throws AixgoError `INVALID_INPUT` for another shape, a self-dependency or a cycle, named as `a → b → a`;
 * `AGENT_NOT_FOUND` for a name that no agent has
 */
export function planPhases(dependencies: Dependencies, agents: readonly string[]): readonly (readonly string[])[] {
  const needs = checked(dependencies, new Set(agents));
  const depths = new Map<string, number>();
  for (const agent of agents) visit(agent, needs, depths);
  const phases: string[][] = [];
  for (const agent of agents) (phases[depths.get(agent) ?? 0] ??= []).push(agent);
  return phases;
}

function checked(dependencies: unknown, agents: ReadonlySet<string>): ReadonlyMap<string, readonly string[]> {
  if (!isPlainObject(dependencies)) {
    throw refused(
      `the dependencies are ${kindOf(dependencies)}; they must be an object of agents' names, each with an array of the names it needs`,
    );
  }
  const needs = new Map<string, readonly string[]>();
  for (const [agent, needed] of Object.entries(dependencies)) {
    if (!agents.has(agent)) throw unknown(`it names ${shownName(agent)}`);
    if (!Array.isArray(needed)) throw refused(`what agent "${agent}" needs is ${kindOf(needed)}; it must be an array of agents' names`);
    for (const name of needed as readonly unknown[]) {
      if (typeof name !== "string") throw refused(`agent "${agent}" needs ${kindOf(name)}; it must be an agent's name`);
      if (name === agent) throw refused(`agent "${agent}" depends on itself`);
      if (!agents.has(name)) throw unknown(`agent "${agent}" needs ${shownName(name)}`);
    }
    needs.set(agent, needed as readonly string[]);
  }
  return needs;
}

/** Depth first, with a stack of its own: a chain of 100,000 agents does not overflow the machine's. */
function visit(root: string, needs: ReadonlyMap<string, readonly string[]>, depths: Map<string, number>): void {
  if (depths.has(root)) return;
  const path: { readonly agent: string; next: number; depth: number }[] = [{ agent: root, next: 0, depth: 0 }];
  const onPath = new Set([root]);
  for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
    const needed = needs.get(at.agent)?.[at.next];
    if (needed === undefined) {
      depths.set(at.agent, at.depth);
      onPath.delete(at.agent);
      path.pop();
      continue;
    }
    const known = depths.get(needed);
    if (known !== undefined) {
      at.depth = Math.max(at.depth, known + 1);
      at.next += 1;
    } else if (onPath.has(needed)) {
      const names = path.map(({ agent }) => agent);
      throw refused(`the agents depend on each other: ${cycle([...names.slice(names.indexOf(needed)), needed])}`);
    } else {
      path.push({ agent: needed, next: 0, depth: 0 });
      onPath.add(needed);
    }
  }
}

const SHOWN_IN_CYCLE = 20;

function cycle(names: readonly string[]): string {
  const shown = names.length <= SHOWN_IN_CYCLE ? names : [...names.slice(0, SHOWN_IN_CYCLE - 2), "…", ...names.slice(-2)];
  return shown.join(" → ");
}

function refused(problem: string): AixgoError {
  return new AixgoError("INVALID_INPUT", `startPhased: ${problem}`);
}

function unknown(who: string): AixgoError {
  return new AixgoError("AGENT_NOT_FOUND", `startPhased: ${who}, and there is no agent of that name: register it first`);
}
