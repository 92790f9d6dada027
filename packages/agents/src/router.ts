import { AixgoError, type AgentContext, type Execute, type Message } from "@aixgo/core";
import { readClassification } from "./classifier-agent.ts";
import { callable, check, type Checks, flag, invalid, record, words } from "./option-check.ts";
import { asAnswer, asInput, createStages, type StageReply } from "./stages.ts";

export interface RouterOptions {
  /** The agent for each route, by the route's name. */
  readonly routes: Readonly<Record<string, string>>;
  /** A classifier agent whose labels are the routes. This or `choose`. */
  readonly classifier?: string;
  /** The name of the route. This or `classifier`. */
  readonly choose?: (input: Message, context: AgentContext) => string | Promise<string>;
  /** The route for a choice that is none of the routes. @default such a choice is `AGENT_FAILED` */
  readonly fallback?: string;
  /** Lends the conversation to the classifier and to the chosen agent. @default true */
  readonly history?: boolean;
}

const CHECKS: Checks<RouterOptions> = { routes: record, classifier: words, choose: callable, fallback: words, history: flag };

/**
 * Chooses one agent for the input; its answer is the answer, and what it shows is shown. The answer's `metadata.route` is the name
 * of the route. With a session and a classifier, a turn that is continued goes the way that was chosen first.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function router(options: RouterOptions): Execute {
  check("router", "", CHECKS, options, ["routes"]);
  const { classifier, choose, fallback, history = true } = options;
  const routes = new Map(Object.entries(options.routes));
  if (routes.size === 0) throw invalid("router", "routes must name at least one");
  for (const [name, agent] of routes) if (words(agent) !== undefined) throw invalid("router", `routes.${name} must be an agent's name`);
  if ((classifier === undefined) === (choose === undefined)) throw invalid("router", "give either classifier or choose");
  if (fallback !== undefined && !routes.has(fallback))
    throw invalid("router", `fallback must be one of the routes: ${[...routes.keys()].join(", ")}`);
  return async (input, context) => {
    const stages = await createStages("router", context);
    const asked = asInput(input);
    const chosen =
      classifier === undefined
        ? await choose?.(input, context)
        : await labelOf(await stages.call("choose", classifier, asked, { history }), `router "${context.agentName}"`);
    const route = routes.has(chosen as string) ? (chosen as string) : fallback;
    const agent = route === undefined ? undefined : routes.get(route);
    if (route === undefined || agent === undefined) {
      const name = typeof chosen === "string" ? JSON.stringify(chosen.slice(0, 100)) : `a ${typeof chosen}`;
      throw new AixgoError(
        "AGENT_FAILED",
        `router "${context.agentName}": ${name} is none of the routes ${[...routes.keys()].join(", ")}, and there is no fallback`,
      );
    }
    const reply = await stages.call("answer", agent, asked, { history, show: true, last: true });
    return asAnswer(reply.parts, stages, { route });
  };
}

/** Who called the router is not to blame for what its classifier answers. */
async function labelOf(reply: StageReply, place: string): Promise<string> {
  try {
    return (await readClassification(reply)).label;
  } catch (error) {
    const problem = error instanceof Error ? error.message : "it cannot be read";
    throw new AixgoError("AGENT_FAILED", `${place}: the answer of its classifier "${reply.agent}" is no classification: ${problem}`, {
      cause: error,
    });
  }
}
