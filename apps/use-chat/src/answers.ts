import { approvalsIn, type UIMessageInput } from "@aixgo/agents";
import {
  AixgoError,
  type EventSource,
  type Principal,
  type ReplyStream,
  type Runtime,
  streamResponse,
  type ToolCallPart,
} from "@aixgo/core";
import type { Session } from "@aixgo/session";

/**
 * Gives the answers that a message of the assistant brings back; the last of them goes on with the turn, and what comes of it is the
 * stream. The first answer to a request counts, from whatever page: one that is late is shown what became of the calls.
 *
 * @throws AixgoError `INVALID_INPUT` without an answer, `ENTRY_NOT_FOUND` if it was never asked in this chat or declined, `TURN_ENDED` if
 * it was answered and its turn cancelled then
 */
export async function answer(
  runtime: Runtime,
  session: Session,
  message: UIMessageInput,
  principal: Principal,
): Promise<Pick<ReplyStream, "toResponse">> {
  const answers = approvalsIn(message);
  const open = new Set((await session.requests()).map(({ requestId }) => requestId));
  const fresh = answers.filter(({ requestId }) => open.has(requestId));
  const last = fresh.pop();
  if (last !== undefined) {
    for (const { requestId, decision } of fresh) await runtime.resume(session.id, requestId, decision, { principal });
    const before = await behind(session, message);
    const stream = runtime.streamResume(session.id, last.requestId, last.decision, { principal });
    const events = unlessLate(stream, before, () => behind(session, message));
    return { toResponse: (options) => streamResponse(events, options) };
  }
  const [late] = answers;
  if (late === undefined)
    throw new AixgoError("INVALID_INPUT", "message must be a message of the user, or one of the assistant with answers to what it asks");
  // Waits for a turn that runs, and tries one again that failed.
  const reply = await runtime.resume(session.id, late.requestId, late.decision, { principal });
  const events = { reply: Promise.resolve(reply), ...(await behind(session, message)) };
  return { toResponse: (options) => streamResponse(events, options) };
}

/** The answer of a page that was a moment faster counts: what became of the calls comes from the log then, before the turn's answer. */
function unlessLate(stream: ReplyStream, { openCalls }: Stored, stored: () => Promise<Stored>): EventSource {
  let goesOn = false;
  const isLate = async (): Promise<boolean> => !goesOn && (await stream.reply).turn?.replayed === true;
  return {
    reply: stream.reply,
    // While others of the step wait for the user, nothing goes on.
    openCalls: () => (goesOn ? openCalls() : []),
    async *[Symbol.asyncIterator]() {
      for await (const event of stream) {
        // What goes on from an answer begins with the results of its calls.
        if (event.type === "message" && typeof event.message !== "string" && event.message.role === "assistant" && (await isLate())) break;
        goesOn = true;
        yield event;
      }
      if (!(await isLate())) return;
      goesOn = true;
      yield* await stored();
    },
  };
}

type Stored = Required<Omit<EventSource, "reply">>;

/** What is stored behind the step of the calls that were answered. */
async function behind(session: Session, { parts }: UIMessageInput): Promise<Stored> {
  const shown = parts as readonly { readonly state?: unknown; readonly toolCallId?: unknown }[];
  const ids = new Set(shown.filter(({ state }) => state === "approval-responded").map(({ toolCallId }) => toolCallId));
  const stored = await session.messages({ calls: "stored" });
  const calls = (at: number): ToolCallPart[] => stored[at]?.parts.filter((part) => part.type === "tool-call") ?? [];
  const step = stored.findLastIndex((_, at) => calls(at).some(({ toolCallId }) => ids.has(toolCallId)));
  if (step < 0) throw new AixgoError("ENTRY_NOT_FOUND", "the call was answered, and is not in this chat any more; load it anew");
  return {
    openCalls: () => calls(step),
    async *[Symbol.asyncIterator]() {
      const end = stored.findIndex(({ role }, at) => at > step && role === "user");
      const after = stored.slice(step + 1, end < 0 ? stored.length : end);
      for (const [at, message] of after.entries()) yield { type: "message", message, cursor: String(at + 1) };
    },
  };
}
