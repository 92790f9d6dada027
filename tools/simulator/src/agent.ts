import { type Agent, defineAgent, type Message, type Part, textOf } from "@aixgo/core";
import type { Ledger } from "./ledger.ts";
import type { World } from "./world.ts";

export const AGENT = "worker";

/** What an input asks the agent to do. */
export interface Job {
  readonly key: string;
  /** Steps with a tool. */
  readonly tools: number;
  /** Attempts that fail before one succeeds. */
  readonly failures: number;
  readonly thinkMs: number;
  /** Questions to somebody, all asked at once. */
  readonly asks: number;
}

/** Works through its tools, stores each step, and looks at all it is given. */
export function createWorker(world: World, ledger: Ledger): Agent {
  const { report } = ledger;
  return defineAgent({
    name: AGENT,
    async execute(input, context) {
      const job = JSON.parse(textOf(input)) as Job;
      const steps = await context.steps();
      const history = await context.history();
      for (const problem of problemsOf([...history, ...steps])) report(`an agent was given a history in which ${problem}`);
      if (history.some(({ id }) => id === input.id)) report(`turn ${job.key} was given its own input as history`);
      if (job.asks > 0) {
        const ids = Array.from({ length: job.asks }, (_, index) => `${job.key}?${index}`);
        const answers = await Promise.all(ids.map((requestId) => context.suspend({ requestId, reason: "may I?" })));
        for (const [index, answer] of answers.entries()) ledger.heard(ids[index] as string, JSON.stringify(answer));
      }
      const finished = new Set(steps.flatMap(({ parts }) => parts.filter(isGoodResult).map(({ toolCallId }) => callOf(toolCallId))));
      const attempt = context.session?.attempt ?? 1;
      for (let tool = 0; tool < job.tools; tool += 1) {
        if (finished.has(`${job.key}/${tool}`)) continue;
        await world.sleep(job.thinkMs * world.work.next());
        const toolCallId = `${job.key}/${tool}#${attempt}`;
        await context.emit({
          type: "message",
          message: { role: "assistant", parts: [{ type: "tool-call", toolCallId, toolName: "work", input: { tool } }] },
        });
        await world.sleep(job.thinkMs * world.work.next());
        await context.emit({
          type: "message",
          message: {
            role: "tool",
            parts: [{ type: "tool-result", toolCallId, toolName: "work", output: { type: "json", value: { tool } } }],
          },
        });
      }
      const state = (await context.getState()) as { readonly turns?: number } | undefined;
      await context.setState({ turns: (state?.turns ?? 0) + 1 });
      await world.sleep(job.thinkMs * world.work.next());
      if (attempt <= job.failures) throw new Error(`attempt ${attempt} of ${job.key} fails`);
      return `answer to ${job.key}`;
    },
  });
}

type Result = Extract<Part, { type: "tool-result" }>;

function isGoodResult(part: Part): part is Result {
  return part.type === "tool-result" && part.output.type === "json";
}

function callOf(toolCallId: string): string {
  return toolCallId.slice(0, toolCallId.indexOf("#"));
}

/** What a model's provider would refuse: calls without a result right behind them, results without a call. */
export function problemsOf(messages: readonly Message[]): readonly string[] {
  const problems: string[] = [];
  let open = new Set<string>();
  for (const { role, parts } of messages) {
    if (role !== "tool" && open.size > 0) {
      problems.push(`calls ${[...open].join(", ")} have no result before the next ${role} message`);
      open = new Set();
    }
    for (const part of parts) {
      if (part.type === "tool-call") open.add(part.toolCallId);
      if (part.type === "tool-result" && !open.delete(part.toolCallId)) problems.push(`the result of ${part.toolCallId} has no call`);
    }
  }
  if (open.size > 0) problems.push(`calls ${[...open].join(", ")} have no result`);
  return problems;
}
