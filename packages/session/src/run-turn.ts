import { AixgoError, type MessageInput, type OpenTurn, type Reply, type TurnOptions } from "@aixgo/core";

/** Runs a turn without our runtime: to its answer, to its error, or to where it is suspended. */
export async function runTurn(
  turn: OpenTurn,
  body: (turn: OpenTurn) => Promise<MessageInput>,
  options: Pick<TurnOptions, "signal" | "timeoutMs">,
): Promise<Reply> {
  if (turn.finished !== undefined) return turn.finished;
  let answer: MessageInput | undefined;
  let stop: (() => void) | undefined;
  let isStopped = false;
  try {
    const stopped = new Promise<never>((_, reject) => {
      stop = watch(turn.signal, options, (error) => {
        isStopped = true;
        reject(error);
      });
    });
    answer = await turn.run(() => Promise.race([body(turn), stopped]));
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
  return turn.requests.length > 0 ? turn.endSuspended() : turn.complete(answer as MessageInput);
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
