import {
  type AgentResult,
  AixgoError,
  type MessageInput,
  type OpenTurn,
  type Reply,
  takeResult,
  type TurnOptions,
  type Usage,
} from "@aixgo/core";

/** What a turn does: its answer, alone or with what it cost, is recorded with its end. */
export type TurnBody = (turn: OpenTurn) => Promise<AgentResult>;

/** Before anything is written. */
export function checkBody(operation: string, body: unknown): void {
  if (typeof body !== "function")
    throw new AixgoError("INVALID_OPTION", `${operation}: the body must be a function of the turn that returns the answer`);
}

/** Runs a turn without our runtime: to its answer, to its error, or to where it is suspended. */
export async function runTurn(turn: OpenTurn, body: TurnBody, options: Pick<TurnOptions, "signal" | "timeoutMs">): Promise<Reply> {
  if (turn.finished !== undefined) return turn.finished;
  let answer: ReturnType<typeof answerOf> | undefined;
  let stop: (() => void) | undefined;
  let isStopped = false;
  try {
    const stopped = new Promise<never>((_, reject) => {
      stop = watch(turn.signal, options, (error) => {
        isStopped = true;
        reject(error);
      });
    });
    const result = await turn.run(() => Promise.race([body(turn), stopped]));
    // Who has asked something has no answer yet.
    if (turn.requests.length === 0) answer = answerOf(turn, result);
  } catch (error) {
    // What was asked is asked however the body ended, unless nobody waits any more.
    if (turn.requests.length === 0 || isStopped) {
      await turn.fail(error);
      throw error;
    }
  } finally {
    stop?.();
  }
  // Both end the attempt themselves when they cannot be stored.
  return answer === undefined ? turn.endSuspended() : turn.complete(answer.message, answer.usage);
}

function answerOf(turn: OpenTurn, result: unknown): { readonly message: MessageInput; readonly usage?: Usage } {
  const { message, usage } = takeResult(result);
  if (message === undefined || message === null)
    throw new AixgoError(
      "INVALID_INPUT",
      `turn ${turn.id} has no answer: its body must return one, a text or a message, and returned ${String(message)}`,
    );
  return { message: message as MessageInput, ...(usage === undefined ? undefined : { usage }) };
}

/** Rejects when the turn is stopped, by whom ever, or takes too long. Returns how to stop watching. */
function watch(turn: AbortSignal, options: Pick<TurnOptions, "signal" | "timeoutMs">, reject: (error: unknown) => void): () => void {
  const onTurn = (): void => reject(turn.reason);
  const onCaller = (): void =>
    reject(new AixgoError("CANCELLED", "the turn was cancelled by its caller", { cause: options.signal?.reason }));
  if (turn.aborted) onTurn();
  if (options.signal?.aborted === true) onCaller();
  turn.addEventListener("abort", onTurn, { once: true });
  options.signal?.addEventListener("abort", onCaller, { once: true });
  const { timeoutMs } = options;
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => reject(new AixgoError("TIMEOUT", `the turn took longer than ${timeoutMs} ms`)), timeoutMs);
  return () => {
    clearTimeout(timer);
    turn.removeEventListener("abort", onTurn);
    options.signal?.removeEventListener("abort", onCaller);
  };
}
