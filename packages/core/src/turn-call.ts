import type { Reply, TurnOptions } from "./agent.ts";
import type { Answer } from "./agent-run.ts";
import { type CallSite, type Prepared, sharedSlot, startTimer, takeSlot } from "./call.ts";
import { execute } from "./execution.ts";
import { quiet } from "./failure.ts";
import { sessionsOf } from "./frame.ts";
import type { OpenTurn, SessionHost } from "./session-host.ts";

/** Longest time that recording a failed turn may keep its caller from the answer. */
const FAIL_WAIT_MS = 5_000;

/**
 * A call with a session: opens the turn, runs the agent in it, ends it. Exactly one of `complete` and `fail` is called for each turn that
 * was opened, unless the log held the answer already; `complete` that throws is the end of the attempt as well.
 *
 * The turn is opened before a slot is taken: callers that queue for a busy session do not keep the others out. A sub-call that waits for
 * a session lends its slot out meanwhile, because the turn it waits for may need it.
 */
export async function answerInTurn(site: CallSite, prepared: Prepared, sessionId: string): Promise<Reply> {
  const { cancellation } = prepared.request;
  const turn = await openTurn(site, prepared, sessionId);
  if (turn.finished !== undefined) {
    prepared.stake.release();
    return turn.finished;
  }
  let answer: Answer;
  try {
    cancellation.follow(turn.signal, `the turn of session ${sessionId}`);
    startTimer(site, prepared);
    cancellation.throwIfCancelled();
    const wait = takeSlot(site, prepared);
    if (wait !== undefined) await wait;
    cancellation.throwIfCancelled();
    answer = await execute(site, prepared, turn.input, turn);
  } catch (error) {
    await atMost(FAIL_WAIT_MS, quiet(turn.fail(error)));
    throw error;
  }
  // From here the store decides what became of the turn: a timeout now could only hide it.
  cancellation.release();
  return turn.complete(answer.draft, answer.usage);
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
  const options: TurnOptions = { ...prepared.options, signal: request.cancellation.signal };
  return host.openTurn(sessionId, { agent: registration.name, input: draft, options, ...(within.length === 0 ? undefined : { within }) });
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
