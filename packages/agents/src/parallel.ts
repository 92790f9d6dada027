import type { AgentContext, Execute, Message, MessageInput } from "@aixgo/core";
import { askAll } from "./fan-out.ts";
import { callable, check, type Checks, flag, invalid, names, whole } from "./option-check.ts";
import { asAnswer, asInput, createStages, type StageReply, withUsage } from "./stages.ts";

export interface ParallelOptions {
  /** Makes one answer of the replies, which come in the order of the agents. @default their texts, each under its agent's name */
  readonly combine?: (replies: readonly StageReply[], input: Message, context: AgentContext) => MessageInput | Promise<MessageInput>;
  /** Answers that are enough; agents that fail are then left out. @default all */
  readonly minReplies?: number;
  /** Lends the agents the conversation. @default false */
  readonly history?: boolean;
}

const CHECKS: Checks<ParallelOptions> = { combine: callable, minReplies: whole(1), history: flag };

/**
 * Agents at once, all with the same input. Fails, with an error that names the agent, as soon as fewer than `minReplies` can
 * answer; the others are then cancelled. Their deltas are not shown: they would mix.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function parallel(agents: readonly string[], options: ParallelOptions = {}): Execute {
  const problem = names(agents);
  if (problem !== undefined) throw invalid("parallel", `agents ${problem}`);
  check("parallel", "", CHECKS, options, []);
  const { combine, minReplies = agents.length, history = false } = options;
  if (minReplies > agents.length) throw invalid("parallel", `minReplies (${minReplies}) is more than there are agents (${agents.length})`);
  const asked = [...agents];
  return async (input, context) => {
    const stages = await createStages("parallel", context);
    const kind = `parallel "${context.agentName}"`;
    const replies = await askAll(kind, stages, asked, asInput(input), { minReplies, history, signal: context.signal });
    if (combine === undefined)
      return asAnswer([{ type: "text", text: replies.map(({ agent, text }) => `## ${agent}\n\n${text}`).join("\n\n") }], stages);
    return withUsage(await combine(replies, input, context), stages.usage());
  };
}
