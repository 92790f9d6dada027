import { AixgoError, type MessageInput } from "@aixgo/core";
import type { StageReply, Stages } from "./stages.ts";

/** Failures that an error tells of. */
const MAX_TOLD = 5;

/**
 * Asks all agents at once. The replies come in the order of the agents, without those that failed. As soon as too many have
 * failed, the others are cancelled.
 *
 * @throws AixgoError the error of the first that failed, naming it, if fewer than `minReplies` answer
 */
export async function askAll(
  kind: string,
  stages: Stages,
  agents: readonly string[],
  input: MessageInput,
  options: { readonly minReplies: number; readonly history: boolean; readonly signal: AbortSignal },
): Promise<readonly StageReply[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const failures: unknown[] = [];
  const ask = async (agent: string, index: number): Promise<StageReply | undefined> => {
    try {
      return await stages.call(`${index + 1}`, agent, input, { history: options.history, signal });
    } catch (error) {
      failures.push(error);
      if (agents.length - failures.length < options.minReplies)
        stop.abort(new AixgoError("CANCELLED", `${kind}: too many agents have failed`));
      return undefined;
    }
  };
  const replies = (await Promise.all(agents.map(ask))).filter((reply) => reply !== undefined);
  if (replies.length >= options.minReplies) return replies;
  const [first] = failures;
  if (options.minReplies === agents.length || options.signal.aborted) throw first;
  const told = failures.slice(0, MAX_TOLD).map((error) => (error instanceof AixgoError ? error.message : "an error"));
  throw new AixgoError(
    "AGENT_FAILED",
    `${kind}: ${replies.length} of ${agents.length} agents answered, ${options.minReplies} are needed: ${told.join("; ")}`,
    { cause: first },
  );
}
