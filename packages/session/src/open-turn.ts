import { setTimeout as delay } from "node:timers/promises";
import { AixgoError, type Message, type OpenTurn, type OpenTurnRequest, type Reply } from "@aixgo/core";
import { newEntryId, newToken } from "@aixgo/security";
import { runningTurns } from "./context.ts";
import type { Head } from "./contract.ts";
import type { Draft } from "./line.ts";
import type { ManagerOptions } from "./manager-options.ts";
import { decodeMessage, encodeMessage, type EncodedMessage, messageOf } from "./message-data.ts";
import { isOnPath } from "./messages.ts";
import type { OpenSession } from "./open-session.ts";
import type { Session } from "./session.ts";
import { INTERRUPT, Turn } from "./turn.ts";
import { lastTurn, replyOf, type TurnData, type TurnMark, turnOp, turnWithOp } from "./turn-log.ts";
import { queueTimeout } from "./turn-queue.ts";
import { busy, changedByOthers, isLive } from "./writer.ts";

/** How long a waiting node sleeps between two looks at a turn that runs elsewhere, in milliseconds. */
const POLL_MS = { first: 10, most: 250 };

/** The head moved between looking and writing: look again. Never leaves this file. */
class Moved extends Error {}

interface Request {
  readonly encoded: EncodedMessage;
  readonly digest: string;
  readonly key: string | undefined;
  readonly op: string | undefined;
}

/**
 * Opens or continues a turn of a session that has been checked to exist and to be the caller's; `seen` is its head of just now.
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
  const { turnKey, ifBusy = "queue", signal, queueTimeoutMs = options.queueTimeoutMs } = request.options;
  const encoded = encodeMessage(request.input, "user", {
    maxBytes: options.maxMessageBytes,
    maxBlobBytes: open.attachments.maxBytes,
  });
  const key = turnKey ?? encoded.id;
  const asked: Request = { encoded, digest: encoded.digest(), key, op: key === undefined ? undefined : turnOp(key) };
  const { id } = open.ref;
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
  open.log.adopt(seen);
  const began = performance.now();
  const deadline = began + queueTimeoutMs;
  let head: Head | undefined = seen;
  if (open.turns.isTaken) {
    // What is answered already need not wait.
    const known = await finished(open, session, asked);
    if (known !== undefined) return known;
    head = undefined;
    if (ifBusy === "reject") throw busy(id);
    if (ifBusy === "interrupt") open.running?.cancel("interrupted", "");
  }
  await open.turns.enter({ maxQueued: options.maxQueued, timeoutMs: queueTimeoutMs, ...(signal === undefined ? undefined : { signal }) });
  let isStored = encoded.outgoing.length === 0;
  try {
    for (let pause = POLL_MS.first; ;) {
      throwIfCancelled(signal, id);
      head ??= await open.log.refresh();
      const answered = await finished(open, session, asked);
      if (answered !== undefined) {
        open.turns.leave();
        return answered;
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
      if (!isStored) {
        await open.attachments.store(encoded.outgoing);
        isStored = true;
        head = undefined;
        continue;
      }
      try {
        return await start(open, session, head, asked, options);
      } catch (error) {
        if (!(error instanceof Moved)) throw error;
        if (performance.now() > Math.max(deadline, began + options.rebaseMs)) throw changedByOthers(id, options.rebaseMs);
        head = undefined;
      }
    }
  } catch (error) {
    open.turns.leave();
    throw error;
  }
}

async function start(open: OpenSession, session: Session, head: Head, asked: Request, options: ManagerOptions): Promise<Turn> {
  const { log } = open;
  const last = await lastTurn(log, head);
  const dead = last?.data.phase === "start" ? last : undefined;
  const earlier = asked.op === undefined ? undefined : await turnWithOp(log, asked.op);
  const continued = earlier !== undefined && (await isOnPath(log, head, earlier.turnSeq)) ? earlier : undefined;
  // Read before the lease is taken: a fault here must not leave the session with a turn that nobody runs.
  const first =
    continued === undefined
      ? undefined
      : { id: (await log.one(continued.turnSeq)).id, input: decodeMessage(await log.one(continued.turnSeq + 1)) };

  const inputId = newEntryId();
  const shown = await shownInput(open, first?.input, asked.encoded);

  const lease = { fence: head.fence + 1, token: newToken() };
  const startSeq = head.seq + 1 + (dead === undefined ? 0 : 1);
  const turnSeq = continued?.turnSeq ?? startSeq;
  const attempt = continued === undefined ? 1 : continued.data.attempt + 1;
  const startId = newEntryId();
  const mark = { turn: turnSeq, fence: lease.fence };
  const data: TurnData = {
    phase: "start",
    ...(asked.key === undefined ? undefined : { key: asked.key }),
    inputDigest: asked.digest,
    attempt,
  };
  const drafts: Draft[] = [];
  if (dead !== undefined) drafts.push(endOfDead(dead, lease.fence));
  drafts.push({
    id: startId,
    type: "turn",
    data: JSON.stringify(data),
    ...mark,
    ...(asked.op === undefined ? undefined : { op: asked.op }),
  });
  if (continued === undefined) drafts.push({ id: inputId, type: "message", data: asked.encoded.json, ...mark });

  const written = await open.writer.submit({
    drafts,
    acquire: { ...lease, holder: options.holder, ttlMs: options.leaseMs },
    check: (current) => {
      if (current.hash !== head.hash || current.fence !== head.fence || isLive(current)) throw new Moved();
    },
  });
  const turn = new Turn({
    open,
    session,
    userId: head.info.userId,
    id: first?.id ?? startId,
    turnSeq,
    attempt,
    key: asked.key,
    op: asked.op,
    inputDigest: asked.digest,
    input: shown(inputId, written.timestamp),
    headSeq: written.tip.headSeq,
    lease,
    leaseMs: options.leaseMs,
    maxMessageBytes: options.maxMessageBytes,
    onEnd: () => {
      open.running = undefined;
      open.turns.leave();
    },
  });
  open.running = turn;
  return turn;
}

/** The input as the agent is given it. What must be read for that is read now; the id and time of a new one come with its entry. */
async function shownInput(
  { attachments }: OpenSession,
  stored: Message | undefined,
  { data, outgoing }: EncodedMessage,
): Promise<(id: string, timestamp: string) => Message> {
  if (stored !== undefined) {
    const [input = stored] = await attachments.forAgent([stored]);
    return () => input;
  }
  if (outgoing.length === 0) return (id, timestamp) => messageOf(data, id, timestamp);
  const [input] = await attachments.forAgent([messageOf(data, "", "")]);
  return (id, timestamp) => messageOf({ ...data, parts: input?.parts ?? data.parts }, id, timestamp);
}

/** The end that a turn's process did not live to write. */
function endOfDead(dead: TurnMark, fence: number): Draft {
  const { key, inputDigest, attempt } = dead.data;
  const data: TurnData = { phase: "end", ...(key === undefined ? undefined : { key }), inputDigest, attempt, status: "interrupted" };
  const { op } = dead.entry;
  return {
    id: newEntryId(),
    type: "turn",
    data: JSON.stringify(data),
    turn: dead.turnSeq,
    fence,
    ...(op === undefined ? undefined : { op }),
  };
}

/** The turn as the log answers it, if it completed before; the agent does not run again. */
async function finished(open: OpenSession, session: Session, asked: Request): Promise<OpenTurn | undefined> {
  if (asked.op === undefined) return undefined;
  const mark = await turnWithOp(open.log, asked.op);
  if (mark === undefined) return undefined;
  if (mark.data.inputDigest !== asked.digest) {
    throw new AixgoError(
      "TURN_KEY_REUSED",
      `turn key ${JSON.stringify(asked.key)} of session ${open.ref.id} stands for another input. Use a new key for a new question`,
    );
  }
  if (mark.data.status !== "completed") return undefined;
  const reply = await replyOf(open.log, mark);
  const input = decodeMessage(await open.log.one(mark.turnSeq + 1));
  return finishedTurn(session, reply, input, mark.data.attempt);
}

function finishedTurn(session: Session, reply: Reply, input: OpenTurn["input"], attempt: number): OpenTurn {
  const id = (reply.turn as NonNullable<Reply["turn"]>).id;
  const ended = async (): Promise<never> => {
    throw new AixgoError("TURN_ENDED", `turn ${id} of session ${session.id} is answered from the log`);
  };
  return {
    id,
    attempt,
    input,
    finished: reply,
    signal: new AbortController().signal,
    ...(session.userId === undefined ? undefined : { userId: session.userId }),
    history: ended,
    steps: ended,
    getState: ended,
    setState: ended,
    append: ended,
    complete: ended,
    fail: async () => undefined,
    run: (body) => body(),
  };
}

function throwIfCancelled(signal: AbortSignal | undefined, id: string): void {
  if (signal?.aborted === true)
    throw new AixgoError("CANCELLED", `the turn of session ${id} was cancelled before it began`, { cause: signal.reason });
}
