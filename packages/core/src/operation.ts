import { AixgoError, isAixgoError } from "./errors.ts";
import type { Json } from "./message.ts";
import { METRIC, type Observer, SPAN } from "./observer.ts";
import { type ActiveSpan, noSpan } from "./telemetry.ts";

/** What an agent does that an operator wants to see: one request to a model, one run of a tool. Names become labels: they have few distinct values. */
export type Operation =
  | { readonly type: "model"; readonly provider: string; readonly model: string }
  | { readonly type: "tool"; readonly tool: string; readonly toolCallId: string };

/** What is known of an operation only when it ends. */
export interface OperationNotes {
  readonly usage?: { readonly inputTokens?: number; readonly outputTokens?: number };
  readonly finishReason?: string;
  /** Of an operation that failed without an error the code that says why; of one that ended in another way a word, in small letters. */
  readonly outcome?: string;
}

export interface RunningOperation extends Pick<ActiveSpan, "content"> {
  note(notes: OperationNotes): void;
}

/** Runs `body` once, within a span and measured, and settles as it does. */
export type Observe = <T>(operation: Operation, body: (running: RunningOperation) => Promise<T>) => Promise<T>;

/** For the agent of one call. Undefined where nobody looks: then operations cost nothing. */
export function createObserve(observer: Observer, agent: string, sessionId: string | undefined): Observe | undefined {
  const { metrics, span } = observer;
  if (metrics === undefined && span === undefined) return undefined;
  return async (operation, body) => {
    check(agent, operation);
    const begun = metrics === undefined ? 0 : performance.now();
    let notes: OperationNotes = {};
    let outcome = "ok";
    const run = async (active: ActiveSpan): Promise<Awaited<ReturnType<typeof body>>> => {
      try {
        return await body({ note: (more) => void (notes = { ...notes, ...more }), content: (kind, read) => active.content(kind, read) });
      } finally {
        const { usage, finishReason, outcome: told } = notes;
        const { inputTokens, outputTokens } = usage ?? {};
        active.set(given({ inputTokens, outputTokens, finishReason, outcome: told }));
      }
    };
    try {
      const result = await (span === undefined ? run(noSpan) : span(SPAN[operation.type], attributesOf(operation, agent, sessionId), run));
      outcome = notes.outcome ?? "ok";
      return result;
    } catch (error) {
      outcome = isAixgoError(error) ? error.code : "ERROR";
      throw error;
    } finally {
      if (metrics !== undefined) {
        const ms = performance.now() - begun;
        if (operation.type === "tool") {
          const labels = { agent, tool: operation.tool, outcome };
          metrics.count(METRIC.toolCount, 1, labels);
          metrics.observe(METRIC.toolDurationMs, ms, labels);
        } else {
          const { provider, model } = operation;
          const labels = { agent, provider, model, outcome };
          metrics.count(METRIC.modelCount, 1, labels);
          metrics.observe(METRIC.modelDurationMs, ms, labels);
          const { inputTokens, outputTokens } = notes.usage ?? {};
          if (inputTokens !== undefined) metrics.observe(METRIC.modelTokens, inputTokens, { agent, provider, model, type: "input" });
          if (outputTokens !== undefined) metrics.observe(METRIC.modelTokens, outputTokens, { agent, provider, model, type: "output" });
        }
      }
    }
  };
}

function check(agent: string, operation: Operation): void {
  const { type, ...names } = Object(operation) as Operation;
  const expected = type === "tool" ? ["tool", "toolCallId"] : ["provider", "model"];
  const wrong = expected.find((name) => typeof (names as Record<string, unknown>)[name] !== "string");
  if ((type === "tool" || type === "model") && wrong === undefined) return;
  const problem = type === "tool" || type === "model" ? `"${wrong}" must be a string` : '"type" must be "model" or "tool"';
  throw new AixgoError("INVALID_INPUT", `agent "${agent}": context.observe: ${problem}`);
}

function attributesOf(operation: Operation, agent: string, sessionId: string | undefined): Record<string, Json> {
  const { type: _type, ...facts } = operation;
  return given({ agent, session: sessionId, ...facts });
}

/** The members that have a value. */
export function given(members: Record<string, Json | undefined>): Record<string, Json> {
  return Object.fromEntries(Object.entries(members).filter((member): member is [string, Json] => member[1] !== undefined));
}
