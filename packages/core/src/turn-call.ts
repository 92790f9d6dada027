import type { Reply, TurnOptions } from "./agent.ts";
import type { Answer } from "./agent-run.ts";
import { type CallRequest, type CallSite, MAX_DEPTH, type Prepared, sharedSlot, startTimer, takeSlot } from "./call.ts";
import { AixgoError, isAixgoError } from "./errors.ts";
import { execute } from "./execution.ts";
import { quiet, textOfError } from "./failure.ts";
import { sessionsOf } from "./frame.ts";
import type { Invocation } from "./invocation.ts";
import { createLiveTurn, type LiveTurn } from "./live-turn.ts";
import { openCalls } from "./open-calls.ts";
import type { OpenTurn, SessionHost } from "./session-host.ts";

/** Longest time that recording a failed turn may keep its caller from the answer. */
const FAIL_WAIT_MS = 5_000;

/**
 * A call with a session: opens the turn, runs the agent in it, ends it. Exactly one of `complete`, `endSuspended` and `fail` is called
 * for each turn that was opened, unless the log held the answer already; `complete` that throws is the end of the attempt as well.
 *
 * The turn is opened before a slot is taken: callers that queue for a busy session do not keep the others out. A sub-call that waits for
 * a session lends its slot out meanwhile, because the turn it waits for may need it.
 */
export async function answerInTurn(site: CallSite, prepared: Prepared, sessionId: string): Promise<Reply> {
  const { show } = prepared.request;
  const turn = await openTurn(site, prepared, sessionId);
  const live = createLiveTurn(turn);
  if (turn.finished !== undefined) {
    prepared.stake.release();
    if (turn.finished.turn?.status === "completed") showAnswer(turn.finished, live, show);
    return turn.finished;
  }
  site.live.set(sessionId, live);
  let lastMessageId: string | undefined;
  try {
    const reply = await runTurn(site, prepared, turn, (event, version) => {
      const cursor = live.show(event, version);
      if (event.type === "message") lastMessageId = event.message.id;
      show?.(event, cursor);
    });
    if (reply.turn?.status !== "suspended" && reply.message.id !== lastMessageId) showAnswer(reply, live, show);
    return reply;
  } finally {
    if (site.live.get(sessionId) === live) site.live.delete(sessionId);
    live.end();
  }
}

type Show = NonNullable<Invocation["show"]>;

async function runTurn(site: CallSite, prepared: Prepared, turn: OpenTurn, show: Show): Promise<Reply> {
  const { cancellation, sessionId } = prepared.request;
  let answer: Answer | undefined;
  try {
    cancellation.follow(turn.signal, `the turn of session ${sessionId}`);
    startTimer(site, prepared);
    cancellation.throwIfCancelled();
    const wait = takeSlot(site, prepared);
    if (wait !== undefined) await wait;
    cancellation.throwIfCancelled();
    if (prepared.request.left !== undefined && turn.attempt > 1) prepared.request.left(openCalls(await turn.steps()));
    answer = await execute(site, prepared, turn.input, { turn, show });
  } catch (error) {
    // Whoever was to be asked is not, once the caller has lost patience.
    if (turn.requests.length === 0 || cancellation.reason !== undefined) {
      await atMost(FAIL_WAIT_MS, quiet(turn.fail(error)));
      throw error;
    }
    if (!isAixgoError(error, "TURN_SUSPENDED"))
      site.observer.logger.warn(
        { agent: prepared.registration.name, turn: turn.id, error: textOfError(error) },
        "an agent that suspended ended with another error; the turn is suspended",
      );
  }
  // From here the store decides what became of the turn: a timeout now could only hide it.
  cancellation.release();
  if (turn.requests.length === 0) return turn.complete((answer as Answer).draft, (answer as Answer).usage);
  if (answer !== undefined)
    site.observer.logger.warn(
      { agent: prepared.registration.name, turn: turn.id },
      "an agent answered although it had suspended; the turn is suspended, the answer is dropped",
    );
  return turn.endSuspended();
}

/** The answer is the last message shown, once. */
function showAnswer({ message, turn }: Reply, live: LiveTurn, show: CallRequest["show"]): void {
  const cursor = live.show({ type: "message", message }, turn?.version);
  show?.({ type: "message", message }, cursor);
}

async function openTurn(site: CallSite, prepared: Prepared, sessionId: string): Promise<OpenTurn> {
  const { cancellation } = prepared.request;
  const slot = sharedSlot(prepared.outer, site.limiter);
  prepared.stake.slot = slot;
  slot?.lend();
  const opening = open(site.sessions as SessionHost, prepared, sessionId);
  try {
    try {
      return await cancellation.race(opening);
    } finally {
      const back = slot?.regain();
      if (back !== undefined) await cancellation.race(back);
    }
  } catch (error) {
    // The caller is answered. A turn that is opened all the same must not keep its session.
    opening.then(
      (late) => (late.finished === undefined ? quiet(late.fail(error)) : undefined),
      () => {},
    );
    throw error;
  }
}

async function open(host: SessionHost, prepared: Prepared, sessionId: string): Promise<OpenTurn> {
  const { request, registration, draft, outer } = prepared;
  const within = sessionsOf(outer);
  if (within.length >= MAX_DEPTH)
    throw new AixgoError(
      "LIMIT_EXCEEDED",
      `the call of agent "${registration.name}" is part of the turns of ${within.length} sessions, each within the one before: agents call each other without end`,
    );
  const options: TurnOptions = { ...prepared.options, signal: request.cancellation.signal };
  return host.openTurn(sessionId, {
    agent: registration.name,
    options,
    ...(draft === undefined ? undefined : { input: draft }),
    ...(request.resume === undefined ? undefined : { resume: request.resume }),
    ...(within.length === 0 ? undefined : { within }),
  });
}

function atMost(ms: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    promise.then(done, done);
  });
}
