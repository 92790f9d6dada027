import { setTimeout as delay } from "node:timers/promises";
import { AixgoError, type OpenTurn, type OpenTurnRequest } from "@aixgo/core";
import { runningTurns } from "./context.ts";
import type { Head } from "./contract.ts";
import type { ManagerOptions } from "./manager-options.ts";
import { encodeMessage } from "./message-data.ts";
import { newTurn } from "./new-turn.ts";
import type { OpenSession } from "./open-session.ts";
import { resumedTurn } from "./resumed-turn.ts";
import type { Session } from "./session.ts";
import { INTERRUPT } from "./turn.ts";
import { queueTimeout } from "./turn-queue.ts";
import { startTurn } from "./turn-start.ts";
import type { Wanted } from "./wanted-turn.ts";
import { busy, changedByOthers, isLive, Moved } from "./writer.ts";

/** How long a waiting node sleeps between two looks at a turn that runs elsewhere, in milliseconds. */
const POLL_MS = { first: 10, most: 250 };

/**
 * Opens or continues a turn of a session that has been checked to exist and to be the caller's; `seen` is its head of just now,
 * or one at rest: what has come since makes the first append look again.
 *
 * Nothing is written unless the turn can start: then the end of a dead predecessor, the start and the input leave as one
 * batch, which takes the lease.
 */
export async function openTurn(
  open: OpenSession,
  seen: Head,
  session: Session,
  request: OpenTurnRequest,
  options: ManagerOptions,
): Promise<OpenTurn> {
  const turn = await enterTurn(open, seen, session, request, options);
  const { signal } = request.options;
  if (turn.finished !== undefined || signal?.aborted !== true) return turn;
  // Whoever asked has left while the start was written: it is recorded as what it is before anything else can end the turn.
  const error = cancelled(signal, open.ref.id);
  await turn.fail(error);
  throw error;
}

async function enterTurn(
  open: OpenSession,
  seen: Head,
  session: Session,
  request: OpenTurnRequest,
  options: ManagerOptions,
): Promise<OpenTurn> {
  const { ifBusy = "queue", signal, queueTimeoutMs = options.queueTimeoutMs } = request.options;
  const wanted = wantedBy(open, session, request, options);
  const { id } = open.ref;
  open.log.adopt(seen);
  if (
    runningTurns().some((turn) => turn.sessionId === id) ||
    (request.within?.includes(id) === true && (open.running !== undefined || isLive(await open.log.refresh())))
  ) {
    throw new AixgoError(
      "TURN_REENTRANT",
      `this call is part of a turn of session ${id}, which can have only one. Call another agent with context.call`,
    );
  }
  throwIfCancelled(signal, id);
  const began = performance.now();
  const deadline = began + queueTimeoutMs;
  let head: Head | undefined = seen;
  if (open.turns.isTaken) {
    // What is answered already need not wait.
    const known = await wanted.known(seen);
    if (known !== undefined) return known;
    head = undefined;
    if (ifBusy === "reject") throw busy(id);
    if (ifBusy === "interrupt") open.running?.cancel("interrupted", "");
  }
  await open.turns.enter({
    maxQueued: options.maxQueued,
    timeoutMs: queueTimeoutMs,
    interrupts: ifBusy === "interrupt",
    ...(signal === undefined ? undefined : { signal }),
  });
  let isStored = wanted.outgoing.length === 0;
  try {
    for (let pause = POLL_MS.first; ;) {
      throwIfCancelled(signal, id);
      head ??= await open.log.refresh();
      const known = await wanted.known(head);
      if (known !== undefined) {
        open.turns.leave();
        return known;
      }
      if (isLive(head)) {
        if (ifBusy === "reject") throw busy(id);
        if (ifBusy === "interrupt" && head.lease?.cancelRequested === undefined) await open.log.backend.cancel(open.ref, INTERRUPT);
        if (performance.now() > deadline) throw queueTimeout(id, queueTimeoutMs);
        await delay(pause * (0.5 + Math.random() / 2));
        head = undefined;
        pause = Math.min(pause * 1.5, POLL_MS.most);
        continue;
      }
      try {
        const planned = await wanted.plan(head);
        if ("turn" in planned) {
          open.turns.leave();
          return planned.turn;
        }
        if (!isStored) {
          await open.attachments.store(wanted.outgoing);
          isStored = true;
          head = undefined;
          continue;
        }
        return await startTurn(open, session, head, planned.start, options);
      } catch (error) {
        if (!(error instanceof Moved)) throw error;
        const patienceMs = Math.max(queueTimeoutMs, options.rebaseMs);
        if (performance.now() > began + patienceMs) throw changedByOthers(id, patienceMs);
        head = undefined;
      }
    }
  } catch (error) {
    open.turns.leave();
    throw error;
  }
}

function wantedBy(open: OpenSession, session: Session, request: OpenTurnRequest, options: ManagerOptions): Wanted {
  const { maxMessageBytes } = options;
  if (request.resume !== undefined) return resumedTurn(open, session, request.resume, maxMessageBytes);
  if (request.input === undefined)
    throw new AixgoError("INVALID_INPUT", `the turn of session ${open.ref.id} has neither an input nor an answer`);
  const input = encodeMessage(request.input, "user", { maxBytes: maxMessageBytes, maxBlobBytes: open.attachments.maxBytes });
  return newTurn(open, session, input, request.options);
}

function throwIfCancelled(signal: AbortSignal | undefined, id: string): void {
  if (signal?.aborted === true) throw cancelled(signal, id);
}

function cancelled(signal: AbortSignal, id: string): AixgoError {
  return new AixgoError("CANCELLED", `the turn of session ${id} was cancelled before it began`, { cause: signal.reason });
}
