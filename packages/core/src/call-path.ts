import type { CallOptions, Reply } from "./agent.ts";
import { type CallRequest, type CallSite, MAX_DEPTH, type Prepared, startTimer, takeSlot, timeoutOf } from "./call.ts";
import { checkCallOptions, checkNestedOptions, checkResumeOptions, checkTurnOptions, type NestedOptions } from "./call-options.ts";
import { Cancellation } from "./cancellation.ts";
import { AixgoError, isAixgoError } from "./errors.ts";
import { execute } from "./execution.ts";
import { currentFrame } from "./frame.ts";
import type { Invocation, ShownEvent } from "./invocation.ts";
import { completeMessage, type Json, type MessageDraft, type MessageInput, textOf } from "./message.ts";
import { toMessage } from "./message-check.ts";
import { METRIC, type Observer, SPAN } from "./observer.ts";
import { given } from "./operation.ts";
import { askReady } from "./readiness.ts";
import type { Registration } from "./registration.ts";
import { createStake } from "./stake.ts";
import type { ActiveSpan } from "./telemetry.ts";
import { answerInTurn } from "./turn-call.ts";

/** One call from its checks to its answer, measured. */
export async function performCall(site: CallSite, request: CallRequest): Promise<Reply> {
  const { observer } = site;
  const { metrics } = observer;
  const begun = metrics === undefined ? 0 : performance.now();
  const { cancellation, kind } = request;
  site.active.add(cancellation);
  site.inFlight.begin();
  let outcome = "ok";
  const spanned = (span: NonNullable<Observer["span"]>): Promise<Reply> => {
    const attributes = {
      agent: labelOf(site, request),
      kind,
      ...(request.sessionId === undefined ? undefined : { session: request.sessionId }),
    };
    return span(SPAN.call, attributes, (active) => answerInSpan(site, request, active));
  };
  try {
    const reply = await (observer.span === undefined ? answer(site, request) : spanned(observer.span));
    if (reply.turn?.status === "suspended") outcome = "suspended";
    return reply;
  } catch (error) {
    outcome = isAixgoError(error) ? error.code : "ERROR";
    if (outcome === "AGENT_FAILED") observer.logger.warn({ agent: labelOf(site, request), kind, code: outcome }, "an agent failed");
    throw error;
  } finally {
    cancellation.release();
    site.active.delete(cancellation);
    site.inFlight.end();
    if (metrics !== undefined) {
      const labels = { agent: labelOf(site, request), kind, outcome };
      metrics.count(METRIC.count, 1, labels);
      metrics.observe(METRIC.durationMs, performance.now() - begun, labels);
    }
  }
}

async function answerInSpan(site: CallSite, request: CallRequest, span: ActiveSpan): Promise<Reply> {
  span.content("input", () => (request.resume === undefined ? toMessage(request.input, "user") : decisionOf(request.resume.decision)));
  const reply = await answer(site, request);
  const { usage, turn } = reply;
  const outcome = turn?.status === "suspended" ? "suspended" : undefined;
  span.set(
    given({ inputTokens: usage?.inputTokens, outputTokens: usage?.outputTokens, turn: turn?.id, replayed: turn?.replayed, outcome }),
  );
  span.content("output", () => reply.message);
  return reply;
}

function decisionOf(decision: Json): MessageDraft {
  return { role: "user", parts: [{ type: "data-decision", data: decision }] };
}

function labelOf(site: CallSite, request: CallRequest): string {
  return site.knows(request.agent) ? request.agent : "(unknown)";
}

async function answer(site: CallSite, request: CallRequest): Promise<Reply> {
  const { cancellation, parent } = request;
  const options = checkOptions(request);
  if (request.sessionId !== undefined) checkSession(site, request.sessionId);
  const registration = site.admit(request.agent, parent !== undefined);
  if (options.signal !== undefined) cancellation.follow(options.signal, `the call of agent "${registration.name}"`);
  const stake = createStake([registration.calls, site.inFlight]);
  try {
    if (request.sessionId !== undefined && registration.source.sessions === "disabled") {
      throw new AixgoError(
        "INVALID_OPTION",
        `agent "${registration.name}" takes no calls with a session: it is registered with sessions: "disabled"`,
      );
    }
    if (!registration.running) await cancellation.race(registration.ensureStarted());
    if (registration.source.ready !== undefined) await checkReady(registration, cancellation, timeoutOf(site, request, options));
    const draft = request.resume === undefined ? toMessage(request.input, "user") : undefined;
    cancellation.throwIfCancelled();
    const principal = parent === undefined ? options.principal : parent.principal;
    const prepared: Prepared = { request, registration, options, principal, draft, stake, outer: parent?.frame ?? currentFrame() };
    return await (request.sessionId === undefined ? answerStateless(site, prepared) : answerInTurn(site, prepared, request.sessionId));
  } catch (error) {
    // Of a call whose agent runs the stake was handed over: releasing is then up to the agent's end.
    if (!stake.handedOver) stake.release();
    throw error;
  }
}

async function answerStateless(site: CallSite, prepared: Prepared): Promise<Reply> {
  const wait = takeSlot(site, prepared);
  if (wait !== undefined) await wait;
  prepared.request.cancellation.throwIfCancelled();
  startTimer(site, prepared);
  const result = await execute(site, prepared, completeMessage(prepared.draft as MessageDraft));
  const message = completeMessage(result.draft);
  return { message, text: textOf(message), ...(result.usage === undefined ? undefined : { usage: result.usage }) };
}

/** A call inside a call: it ends with its caller, shares its slot, and acts for the same principal. */
export function callNested(
  site: CallSite,
  parent: Invocation,
  agent: string,
  input: MessageInput,
  options: NestedOptions | undefined,
): Promise<Reply> {
  if (parent.depth + 1 > MAX_DEPTH)
    return Promise.reject(new AixgoError("LIMIT_EXCEEDED", `agent "${parent.agentName}" calls agents ${MAX_DEPTH} levels deep`));
  const cancellation = new Cancellation();
  cancellation.within(parent.cancellation);
  const show = options?.show === true ? passOn(parent) : undefined;
  return performCall(site, { kind: "nested", agent, input, options, cancellation, parent, ...(show === undefined ? undefined : { show }) });
}

/** Messages are left out: they are the callee's own, and not stored with the caller's. */
function passOn(parent: Invocation): ((event: ShownEvent) => void) | undefined {
  const { show } = parent;
  return show === undefined ? undefined : (event) => (event.type === "message" || parent.over ? undefined : show(event));
}

function checkOptions(request: CallRequest): CallOptions {
  if (request.parent !== undefined) return checkNestedOptions(request.options, request.parent.principal);
  if (request.resume !== undefined) return checkResumeOptions(request.options);
  return request.sessionId === undefined ? checkCallOptions(request.options) : checkTurnOptions(request.options);
}

function checkSession(site: CallSite, sessionId: unknown): void {
  if (site.sessions === undefined) {
    throw new AixgoError("INVALID_OPTION", 'callWithSession needs the option "sessions": createRuntime(withSessionManager(manager))');
  }
  if (typeof sessionId !== "string" || sessionId === "")
    throw new AixgoError("INVALID_INPUT", "callWithSession: the session id must be a string that is not empty");
}

async function checkReady(registration: Registration, cancellation: Cancellation, timeoutMs: number | undefined): Promise<void> {
  if (await askReady(registration, cancellation, timeoutMs)) return;
  throw new AixgoError("NOT_STARTED", `agent "${registration.name}" is not ready: call again later`, { retryable: true });
}
