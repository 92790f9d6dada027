import { type Answer, runAgent } from "./agent-run.ts";
import type { CallSite, Prepared } from "./call.ts";
import type { Cancellation } from "./cancellation.ts";
import type { AixgoError } from "./errors.ts";
import { agentError } from "./failure.ts";
import { currentFrame, type Frame, runInFrame } from "./frame.ts";
import type { Invocation } from "./invocation.ts";
import type { Message } from "./message.ts";
import { METRIC } from "./observer.ts";
import { createObserve } from "./operation.ts";
import type { OpenTurn } from "./session-host.ts";
import type { Slot } from "./slot.ts";
import { releaseIfLost, type Stake } from "./stake.ts";
import type { Metrics } from "./telemetry.ts";

/** Runs the agent. Settles with it or with the cancellation, whichever is first; what the call holds stays held until the agent has ended. */
export async function execute(
  site: CallSite,
  prepared: Prepared,
  input: Message,
  within?: { readonly turn: OpenTurn; readonly show: Invocation["show"] },
): Promise<Answer> {
  const turn = within?.turn;
  const { request, registration, stake, outer } = prepared;
  const { cancellation, parent } = request;
  const frame = frameOf(site, prepared);
  const call: Invocation = {
    agentName: registration.name,
    agent: registration.source,
    input,
    cancellation,
    principal: prepared.principal,
    logger: site.observer.logger,
    observe: createObserve(site.observer, registration.name, request.sessionId),
    turn,
    sessionId: request.sessionId,
    frame,
    depth: parent === undefined ? 0 : parent.depth + 1,
    history: turn === undefined ? lent(prepared) : (options) => turn.history(options),
    show: within === undefined ? request.show && ((event) => request.show?.(event)) : within.show,
    callNested: site.callNested,
    steps: undefined,
    stored: undefined,
    pending: undefined,
    over: false,
  };
  const body = turn === undefined ? () => runAgent(call) : () => turn.run(() => runAgent(call));
  const { metrics } = site.observer;
  const labels = { agent: registration.name, kind: request.kind };
  metrics?.count(METRIC.active, 1, labels);
  const release = releaser(stake, metrics, labels);
  stake.handedOver = true;
  try {
    let work: Promise<Answer>;
    try {
      work = frame === undefined || frame === currentFrame() ? body() : runInFrame(frame, body);
    } catch (error) {
      // `turn.run` itself failed: no agent runs.
      release();
      throw agentError(registration.name, error);
    }
    return await answerOrReason(work, cancellation, release, () => metrics?.count(METRIC.abandoned, 1, labels));
  } finally {
    call.over = true;
    if (frame !== undefined && frame !== outer) frame.over = true;
  }
}

/** `release` is called when the work has ended, `abandoned` if the cancellation came before that. */
function answerOrReason(work: Promise<Answer>, cancellation: Cancellation, release: () => void, abandoned: () => void): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const cancelled = (reason: AixgoError): void => {
      // An agent that heeds its signal ends within this turn of the event loop.
      setImmediate(() => (settled ? undefined : abandoned()));
      releaseIfLost(work, release);
      reject(reason);
    };
    let settled = false;
    const ended = (): void => {
      settled = true;
      cancellation.offCancel(cancelled);
      release();
    };
    work.then(
      (answer) => {
        ended();
        resolve(answer);
      },
      (error: unknown) => {
        ended();
        reject(error);
      },
    );
    cancellation.onCancel(cancelled);
  });
}

/** A frame of its own only for a call that has something new to hand down. */
function frameOf(site: CallSite, prepared: Prepared): Frame | undefined {
  const { request, stake, outer } = prepared;
  const ownSlot = stake.slot !== undefined && !holds(outer, stake.slot);
  if (!ownSlot && request.sessionId === undefined) return outer;
  return {
    parent: outer,
    ...(stake.slot === undefined ? undefined : { slot: stake.slot }),
    ...(request.sessionId === undefined ? undefined : { sessionId: request.sessionId }),
    runtime: site.runtime,
    over: false,
  };
}

function holds(frame: Frame | undefined, slot: Slot): boolean {
  for (let at = frame; at !== undefined; at = at.parent) if (at.slot === slot) return true;
  return false;
}

/** The conversation of the caller, where the caller lends it. */
function lent(prepared: Prepared): Invocation["history"] {
  const { parent, options } = prepared.request;
  return parent !== undefined && options?.history === true ? parent.history : undefined;
}

/** Apart from `execute`, so that what it returns holds nothing of the work itself. */
function releaser(stake: Stake, metrics: Metrics | undefined, labels: Record<string, string>): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    stake.release();
    metrics?.count(METRIC.active, -1, labels);
  };
}
