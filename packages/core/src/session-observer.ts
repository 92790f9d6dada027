import { isAixgoError } from "./errors.ts";
import type { Json } from "./message.ts";
import { METRIC, type Observer, SPAN } from "./observer.ts";
import type { OpenTurn, OpenTurnRequest, SessionHost } from "./session-host.ts";
import { type ActiveSpan, noSpan } from "./telemetry.ts";

/** What a turn asks of the store, by the method that does it. */
const STEPS = {
  history: "history",
  append: "append",
  setState: "state",
  complete: "complete",
  endSuspended: "suspend",
  fail: "fail",
} as const;
type Step = "open" | (typeof STEPS)[keyof typeof STEPS];
type Method = (...args: readonly unknown[]) => Promise<unknown>;
type Watch = <T>(step: Step, body: (span: ActiveSpan) => Promise<T>) => Promise<T>;

/**
 * The same host, with its turns in traces and metrics: how long a turn waited to be opened, and what the store took. Where nobody
 * looks it is the host itself.
 */
export function observeSessions(host: SessionHost | undefined, observer: Observer): SessionHost | undefined {
  if (host === undefined || (observer.metrics === undefined && observer.span === undefined)) return host;
  const openTurn = (sessionId: string, request: OpenTurnRequest): Promise<OpenTurn> => {
    const watch = watcher(observer, request.agent, sessionId);
    return watch("open", async (span) => {
      const turn = await host.openTurn(sessionId, request);
      span.set({ turn: turn.id, attempt: turn.attempt, replayed: turn.finished !== undefined });
      return observeTurn(turn, watch);
    });
  };
  return withMethods(host, { openTurn });
}

function observeTurn(turn: OpenTurn, watch: Watch): OpenTurn {
  const watched = Object.entries(STEPS).map(([method, step]) => {
    const original = (turn[method as keyof typeof STEPS] as unknown as Method).bind(turn);
    return [method, (...args: readonly unknown[]) => watch(step, () => original(...args))] as const;
  });
  return withMethods(turn, Object.fromEntries(watched));
}

function watcher({ metrics, span }: Observer, agent: string, session: string): Watch {
  return async (step, body) => {
    const begun = performance.now();
    let outcome = "ok";
    const attributes: Record<string, Json> = { agent, session, step };
    try {
      return await (span === undefined ? body(noSpan) : span(SPAN.turn, attributes, body));
    } catch (error) {
      outcome = isAixgoError(error) ? error.code : "ERROR";
      throw error;
    } finally {
      metrics?.observe(METRIC.turnDurationMs, performance.now() - begun, { agent, step, outcome });
    }
  };
}

/** `target` with some of its methods replaced. All else stays its own, private members and what is added to the interface included. */
function withMethods<T extends object>(target: T, methods: Readonly<Record<string, unknown>>): T {
  return new Proxy(target, {
    get(_target, key) {
      if (typeof key === "string" && Object.hasOwn(methods, key)) return methods[key];
      const member: unknown = Reflect.get(target, key, target);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}
