import type { Agent, Message } from "@aixgo/core";
import { MODEL_AGENT_CHECKS, type ModelAgentOptions } from "./model-options.ts";
import { check, type Checks, invalid, record, whole } from "./option-check.ts";
import { type Plan, planSchema } from "./plan.ts";
import { createStructuredAgent, readOutput } from "./structured-agent.ts";

export interface PlannerOptions extends ModelAgentOptions {
  /** Agents that steps can be given to, by name, with what each is good at. @default none: steps name no agent */
  readonly agents?: Readonly<Record<string, string>>;
  /** @default 20 */
  readonly maxSteps?: number;
}

const CHECKS: Checks<PlannerOptions> = { ...MODEL_AGENT_CHECKS, agents: record, maxSteps: whole(1) };
/** For plans from elsewhere. */
const ANY_STEPS = 10_000;

/**
 * An agent that makes a plan of what it is asked: steps with what they depend on. The plan is checked: ids are unique, what steps
 * depend on exists, nothing goes in a circle, agents are among those given. It answers with JSON, which `readPlan` reads; do
 * the steps in the order of `planWaves`.
 *
 * Rejects as a structured agent does: a plan with a flaw is given back once, then it is `AGENT_FAILED`.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createPlannerAgent(options: PlannerOptions): Agent {
  check("createPlannerAgent", "", CHECKS, options, ["name", "model"]);
  const { agents, maxSteps = 20, instructions, ...rest } = options;
  const names = agents === undefined ? undefined : Object.keys(agents);
  if (names?.length === 0) throw invalid(options.name, "agents must name at least one, or be left out");
  for (const [name, use] of Object.entries(agents ?? {}))
    if (typeof use !== "string") throw invalid(options.name, `agents.${name} must be a text that says what it is good at`);
  const told = [
    ...(instructions === undefined ? [] : [instructions]),
    "Make a plan for what the user asks; do not carry it out.",
    `It has at most ${maxSteps} steps. Each has an id of its own, a task in one or two sentences, and the ids of the steps whose results it needs.`,
    "Steps that do not need each other can be done at once. No step may need itself, directly or through others.",
    ...(names === undefined ? [] : ["Each step is done by one of these agents:", ...names.map((name) => `- ${name}: ${agents?.[name]}`)]),
    "Answer with JSON.",
  ].join("\n");
  const agent = names === undefined ? {} : { agent: { type: "string", enum: names } };
  return createStructuredAgent<Plan>({
    ...rest,
    instructions: told,
    schema: planSchema({ maxSteps, ...(names === undefined ? {} : { agents: names }) }),
    schemaName: "plan",
    jsonSchema: {
      type: "object",
      properties: {
        goal: { type: "string" },
        steps: {
          type: "array",
          minItems: 1,
          maxItems: maxSteps,
          items: {
            type: "object",
            properties: {
              id: { type: "string" },
              task: { type: "string" },
              ...agent,
              dependsOn: { type: "array", items: { type: "string" } },
            },
            required: ["id", "task", ...Object.keys(agent), "dependsOn"],
            additionalProperties: false,
          },
        },
      },
      required: ["goal", "steps"],
      additionalProperties: false,
    },
  });
}

/**
 * What a planner answered.
 *
 * @throws AixgoError `INVALID_INPUT` if the reply is no plan, or one with a flaw
 */
export async function readPlan(reply: { readonly text: string } | Pick<Message, "parts">): Promise<Plan> {
  return readOutput(planSchema({ maxSteps: ANY_STEPS }), reply);
}
