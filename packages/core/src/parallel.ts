import type { CallOptions, Reply } from "./agent.ts";
import { shownName } from "./agent-name.ts";
import { checkCallOptions } from "./call-options.ts";
import type { CallRequest } from "./call.ts";
import { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import { kindOf } from "./json.ts";
import { completeMessage, type MessageInput } from "./message.ts";
import { toMessage } from "./message-check.ts";

/** What `callParallel` needs of its runtime. */
export interface ParallelSite {
  /** Throws NOT_STARTED unless calls are admitted now. */
  checkOpen(operation: string): void;
  perform(request: CallRequest): Promise<Reply>;
}

/**
 * One input to several agents, at once, as one message with one id. What becomes of each is in the answer, by its name; only what is
 * wrong with the request itself rejects.
 */
export async function callParallel(
  site: ParallelSite,
  agents: readonly string[],
  input: MessageInput,
  options: CallOptions | undefined,
): Promise<Record<string, PromiseSettledResult<Reply>>> {
  const { signal, timeoutMs, ...rest } = checkCallOptions(options, "callParallel");
  site.checkOpen("callParallel");
  const names = checkedNames(agents);
  const message = completeMessage(toMessage(input, "user"));
  const all = new Cancellation();
  try {
    if (signal !== undefined) all.follow(signal, "callParallel");
    all.throwIfCancelled();
    // One clock for all: waiting for a slot counts, unlike in a call of its own.
    if (timeoutMs !== undefined) all.expireAfter(timeoutMs, `callParallel: this agent did not answer within the ${timeoutMs} ms of all`);
    const outcomes = await Promise.allSettled(
      names.map((agent) => {
        const cancellation = new Cancellation();
        cancellation.within(all);
        return site.perform({ kind: "parallel", agent, input: message, options: rest, cancellation });
      }),
    );
    return Object.fromEntries(names.map((name, index) => [name, outcomes[index] as PromiseSettledResult<Reply>]));
  } finally {
    all.release();
  }
}

function checkedNames(agents: unknown): readonly string[] {
  if (!Array.isArray(agents)) throw refused(`the agents are ${kindOf(agents)}; they must be an array of names`);
  const seen = new Set<string>();
  for (const name of agents as readonly unknown[]) {
    if (typeof name !== "string") throw refused(`the agents hold ${kindOf(name)}; they must be names`);
    if (seen.has(name)) throw refused(`agent ${shownName(name)} is named twice: answers are told apart by name`);
    seen.add(name);
  }
  return [...seen];
}

function refused(problem: string): AixgoError {
  return new AixgoError("INVALID_INPUT", `callParallel: ${problem}`);
}
