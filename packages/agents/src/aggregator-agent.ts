import {
  type Agent,
  type AgentContext,
  type AgentEvent,
  type AgentResult,
  AixgoError,
  defineAgent,
  type Execute,
  type Message,
  textOf,
} from "@aixgo/core";
import { askAll } from "./fan-out.ts";
import { isRecord } from "./json.ts";
import { MODEL_AGENT_CHECKS, MODEL_DEFAULTS, type ModelAgentOptions, resolveModelOptions } from "./model-options.ts";
import { streamWithRetries } from "./model-retry.ts";
import { callable, check, type Checks, flag, invalid, names, oneOf, record, text, whole, words } from "./option-check.ts";
import { buildPrompt } from "./prompt.ts";
import { asAnswer, asInput, createStages, type StageReply, withUsage } from "./stages.ts";
import { addUsage } from "./usage.ts";
import { type Ballot, countVotes, type VotingStrategy } from "./voting.ts";

interface Asking {
  readonly name: string;
  readonly role?: string;
  /** Who is asked, all at once; a name may be there twice, for an agent that answers differently each time. */
  readonly agents: readonly string[];
  /** Answers that are enough; agents that fail are then left out. @default all */
  readonly minReplies?: number;
  /** Lends the agents the conversation. @default true */
  readonly history?: boolean;
}

export interface VotingAggregatorOptions extends Asking {
  readonly strategy: VotingStrategy;
  /** What a reply votes for. @default a classification's label and confidence, else the text without case, spaces and final stop */
  readonly ballot?: (reply: StageReply) => Omit<Ballot, "agent">;
  /** By agent, for `weighted`; at least 0. @default 1 each */
  readonly weights?: Readonly<Record<string, number>>;
}

export interface SynthesisAggregatorOptions extends Asking, ModelAgentOptions {
  readonly name: string;
  readonly role?: string;
  /** A model makes one answer of all. */
  readonly strategy: "synthesis";
}

export type AggregatorOptions = VotingAggregatorOptions | SynthesisAggregatorOptions;

const ASKING: Checks<Asking> = { name: words, role: text, agents: names, minReplies: whole(1), history: flag };
const STRATEGY = oneOf("plurality", "majority", "unanimous", "weighted", "confidence", "synthesis");
const VOTING: Checks<VotingAggregatorOptions> = { ...ASKING, strategy: STRATEGY, ballot: callable, weights: record };
const SYNTHESIS: Checks<SynthesisAggregatorOptions> = { ...ASKING, ...MODEL_AGENT_CHECKS, strategy: STRATEGY };

/**
 * An agent that asks several agents the same and gives one answer: the one that wins a vote, or what a model makes of all. The
 * answer of a vote is the first reply for the winner; its `metadata.votes` are the counts.
 *
 * Rejects with `AGENT_FAILED` if fewer than `minReplies` answer (the message names who failed), or nobody wins (`details.votes`).
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createAggregatorAgent(options: AggregatorOptions): Agent {
  const synthesis = isRecord(options) && options["strategy"] === "synthesis";
  check("createAggregatorAgent", "", synthesis ? SYNTHESIS : VOTING, options, [
    "name",
    "agents",
    "strategy",
    ...(synthesis ? ["model"] : []),
  ]);
  const { name, role, agents, minReplies = agents.length } = options;
  if (minReplies > agents.length) throw invalid(name, `minReplies (${minReplies}) is more than there are agents (${agents.length})`);
  const execute = options.strategy === "synthesis" ? synthesize(options) : vote(options);
  return defineAgent({ name, ...(role === undefined ? undefined : { role }), execute });
}

async function ask(options: AggregatorOptions, input: Message, context: AgentContext) {
  const { agents, minReplies = agents.length, history = true } = options;
  const stages = await createStages("aggregator", context);
  const limits = { minReplies, history, signal: context.signal };
  return { stages, replies: await askAll(`aggregator "${context.agentName}"`, stages, agents, asInput(input), limits) };
}

function vote(options: VotingAggregatorOptions): Execute {
  const { name, strategy, ballot = ballotOf, weights = {}, agents } = options;
  if (strategy !== "weighted" && options.weights !== undefined) throw invalid(name, "weights are only for the strategy weighted");
  for (const [agent, weight] of Object.entries(weights)) {
    if (!agents.includes(agent)) throw invalid(name, `weights.${agent} is of none of the agents`);
    if (!Number.isFinite(weight) || weight < 0) throw invalid(name, `weights.${agent} must be a number of at least 0`);
  }
  return async (input, context) => {
    const { stages, replies } = await ask(options, input, context);
    const ballots = replies.map((reply): Ballot => ({ ...checkedBallot(name, reply.agent, ballot(reply)), agent: reply.agent }));
    const { winner, counts } = countVotes(ballots, strategy, weights);
    const votes = counts.map(({ choice, votes: sum, agents: by }) => ({ choice, votes: sum, agents: by }));
    const index = winner === undefined ? -1 : ballots.findIndex(({ choice }) => choice === winner);
    const reply = replies[index];
    if (reply === undefined)
      throw new AixgoError(
        "AGENT_FAILED",
        `aggregator "${context.agentName}": no answer has won (${strategy}) among ${replies.length} replies; details.votes are the counts`,
        { details: { votes } },
      );
    return asAnswer(reply.parts, stages, { votes });
  };
}

function checkedBallot(name: string, agent: string, given: Omit<Ballot, "agent">): Omit<Ballot, "agent"> {
  const { choice, confidence } = isRecord(given) ? given : {};
  const sound =
    typeof choice === "string" && (confidence === undefined || (typeof confidence === "number" && confidence >= 0 && confidence <= 1));
  if (!sound)
    throw new AixgoError(
      "AGENT_FAILED",
      `aggregator "${name}": ballot must give { choice, confidence? from 0 to 1 } for the reply of "${agent}"`,
    );
  return { choice, ...(confidence === undefined ? {} : { confidence }) };
}

function ballotOf({ text: said }: StageReply): Omit<Ballot, "agent"> {
  try {
    const { label, confidence } = JSON.parse(said) as { readonly label?: unknown; readonly confidence?: unknown };
    if (typeof label === "string") return { choice: label, ...(typeof confidence === "number" ? { confidence } : {}) };
  } catch {
    // No classification: its words are the vote.
  }
  return {
    choice: said
      .normalize("NFKC")
      .trim()
      .replace(/[.!\s]+$/, "")
      .replaceAll(/\s+/g, " ")
      .toLowerCase(),
  };
}

function synthesize(options: SynthesisAggregatorOptions): Execute {
  const {
    name,
    model,
    instructions = "Make one answer of the answers below: keep what they agree on, weigh where they differ, add nothing of your own.",
  } = options;
  const { settings, retry } = resolveModelOptions(name, options);
  return async function* synthesis(input, context): AsyncGenerator<AgentEvent, AgentResult, void> {
    const { stages, replies } = await ask(options, input, context);
    const told = replies.map(({ agent, text: said }, index) => `Answer ${index + 1}, of ${agent}:\n${said}`);
    const question: Pick<Message, "role" | "parts"> = {
      role: "user",
      parts: [{ type: "text", text: [`Question:\n${textOf(input)}`, ...told].join("\n\n") }],
    };
    const answer = yield* streamWithRetries(
      {
        agent: name,
        model,
        settings,
        prompt: buildPrompt({ version: model.specificationVersion, instructions, history: [], input: question, steps: [] }),
        functions: [],
        idleTimeoutMs: options.modelIdleTimeoutMs ?? MODEL_DEFAULTS.modelIdleTimeoutMs,
        maxResponseBytes: options.maxResponseBytes ?? MODEL_DEFAULTS.maxResponseBytes,
        signal: context.signal,
        observe: context.observe,
      },
      retry,
      context.logger,
    );
    return withUsage(answer.message, addUsage(stages.usage(), answer.usage));
  };
}
