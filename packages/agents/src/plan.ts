import { AixgoError } from "@aixgo/core";
import { isRecord } from "./json.ts";
import type { StandardInput } from "./tool.ts";

export interface PlanStep {
  readonly id: string;
  /** What is to be done, in words. */
  readonly task: string;
  /** Who does it, where the planner was given agents. */
  readonly agent?: string;
  /** Ids of the steps whose results this one needs. */
  readonly dependsOn: readonly string[];
}

export interface Plan {
  readonly goal: string;
  readonly steps: readonly PlanStep[];
}

/** Problems of one plan that are told. */
const MAX_ISSUES = 10;

interface Issue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** A plan whose steps form a directed graph without a circle, over agents that exist. */
export function planSchema(limits: { readonly maxSteps: number; readonly agents?: readonly string[] }): StandardInput<Plan> {
  const validate = (value: unknown): unknown => {
    const issues = problemsOf(value, limits).slice(0, MAX_ISSUES);
    return issues.length > 0 ? { issues } : { value };
  };
  return { "~standard": { version: 1, vendor: "aixgo", validate } };
}

function problemsOf(value: unknown, { maxSteps, agents }: { readonly maxSteps: number; readonly agents?: readonly string[] }): Issue[] {
  const { goal, steps } = isRecord(value) ? value : {};
  const issues: Issue[] = typeof goal === "string" ? [] : [{ path: ["goal"], message: "must be a text" }];
  if (!Array.isArray(steps) || steps.length === 0) return [...issues, { path: ["steps"], message: "must be a list that is not empty" }];
  if (steps.length > maxSteps)
    return [...issues, { path: ["steps"], message: `has ${steps.length} steps, at most ${maxSteps} are allowed` }];
  const ids = new Set<string>();
  steps.forEach((step: unknown, index) => {
    const { id, task, agent, dependsOn } = isRecord(step) ? step : {};
    const say = (member: string, message: string): void => void issues.push({ path: ["steps", index, member], message });
    if (typeof id !== "string" || id === "") say("id", "must be a text that is not empty");
    else if (ids.has(id)) say("id", `is used twice: ${JSON.stringify(id)}`);
    else ids.add(id);
    if (typeof task !== "string" || task === "") say("task", "must be a text that is not empty");
    if (agents !== undefined && !agents.includes(agent as string)) say("agent", `must be one of ${agents.join(", ")}`);
    else if (agent !== undefined && typeof agent !== "string") say("agent", "must be a text");
    if (!Array.isArray(dependsOn) || !dependsOn.every((each) => typeof each === "string")) say("dependsOn", "must be a list of ids");
  });
  if (issues.length > 0) return issues;
  const plan = steps as readonly PlanStep[];
  plan.forEach(({ dependsOn }, index) => {
    for (const needed of dependsOn)
      if (!ids.has(needed))
        issues.push({ path: ["steps", index, "dependsOn"], message: `names ${JSON.stringify(needed)}, which is no step` });
  });
  if (issues.length > 0) return issues;
  const left = waves(plan).left;
  return left.length === 0 ? [] : [{ path: ["steps"], message: `depend on each other in a circle: ${left.join(", ")}` }];
}

/** Steps that can run at once, wave by wave: each needs only steps of the waves before. */
function waves(steps: readonly PlanStep[]): { readonly waves: readonly (readonly PlanStep[])[]; readonly left: readonly string[] } {
  const found: PlanStep[][] = [];
  const done = new Set<string>();
  let left = [...steps];
  while (left.length > 0) {
    const wave = left.filter(({ dependsOn }) => dependsOn.every((id) => done.has(id)));
    if (wave.length === 0) break;
    for (const { id } of wave) done.add(id);
    left = left.filter(({ id }) => !done.has(id));
    found.push(wave);
  }
  return { waves: found, left: left.map(({ id }) => id) };
}

/**
 * The steps of a plan in waves: the steps of one wave need only those of the waves before, so they can be done at once.
 *
 * @throws AixgoError `INVALID_INPUT` if steps depend on each other in a circle, or on a step that is not there, and for what is no plan
 */
export function planWaves(plan: Plan): readonly (readonly PlanStep[])[] {
  const steps: unknown = isRecord(plan) ? plan["steps"] : undefined;
  if (!Array.isArray(steps) || !steps.every((step) => isRecord(step) && Array.isArray(step["dependsOn"])))
    throw new AixgoError(
      "INVALID_INPUT",
      "planWaves: it was given no plan, whose steps each say what they depend on; read one with readPlan",
    );
  const ordered = waves(plan.steps);
  if (ordered.left.length > 0)
    throw new AixgoError(
      "INVALID_INPUT",
      `planWaves: these steps depend on each other, or on a step that is not there: ${ordered.left.join(", ")}`,
    );
  return ordered.waves;
}
