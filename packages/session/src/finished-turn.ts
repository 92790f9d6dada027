import { AixgoError, type Message, type OpenTurn, type Reply } from "@aixgo/core";
import type { Ref } from "./contract.ts";
import { lifeOf } from "./place.ts";

/** A turn that needs no agent now: its answer is in the log, or it waits for one. */
export function finishedTurn(of: {
  readonly ref: Ref;
  readonly userId: string | undefined;
  readonly reply: Reply;
  readonly input: Message;
  readonly attempt: number;
}): OpenTurn {
  const { ref, userId, reply, input, attempt } = of;
  const { id, version } = reply.turn as NonNullable<Reply["turn"]>;
  const ended = async (): Promise<never> => {
    throw new AixgoError("TURN_ENDED", `turn ${id} of session ${ref.id} is answered from the log`);
  };
  return {
    id,
    attempt,
    input,
    finished: reply,
    signal: new AbortController().signal,
    place: { life: lifeOf(ref), version },
    requests: [],
    resumed: false,
    ...(userId === undefined ? undefined : { userId }),
    history: ended,
    steps: ended,
    getState: ended,
    setState: ended,
    append: ended,
    suspend: ended,
    decisionOf: ended,
    endSuspended: ended,
    complete: ended,
    fail: async () => undefined,
    run: (body) => body(),
  };
}
