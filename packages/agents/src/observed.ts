import type { AgentContext, RunningOperation, ToolCallPart } from "@aixgo/core";
import type { Answer } from "./answer.ts";
import { isRecord } from "./json.ts";
import type { LanguageModel, ModelMessage } from "./model.ts";

type Observe = NonNullable<AgentContext["observe"]>;

/** One request to a model as an operation that is open from the request to the end of its answer. */
export interface ObservedRequest {
  /** Makes the request within the operation, so that what it causes (HTTP requests, say) belongs to it. To be called once. */
  run<T>(request: () => Promise<T>): Promise<T>;
  /** Ends it; only the first of these three counts. */
  answered(answer: Answer): void;
  failed(error: unknown): void;
  /** Whoever read the answer left. */
  left(): void;
}

interface RequestFacts {
  readonly observe?: AgentContext["observe"];
  readonly model: LanguageModel;
  readonly prompt: readonly ModelMessage[];
}

/** Undefined where nobody looks. */
export function observeRequest({ observe, model, prompt }: RequestFacts): ObservedRequest | undefined {
  if (observe === undefined) return undefined;
  let running: RunningOperation | undefined;
  let isOpen = true;
  let end!: () => void;
  let fail!: (error: unknown) => void;
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  ended.catch(() => {});
  return {
    run: (request) =>
      new Promise((resolve, reject) => {
        const operation = observe({ type: "model", provider: model.provider, model: model.modelId }, (given) => {
          running = given;
          running.content("input", () => prompt);
          request().then(resolve, reject);
          return ended;
        });
        // How the request fails is told to the agent by the request itself.
        operation.catch(reject);
      }),
    answered({ message, calls, usage }) {
      isOpen = false;
      const told = message.metadata?.["finishReason"];
      const finishReason = typeof told === "string" ? told : calls.length > 0 ? "tool-calls" : "stop";
      running?.note({ finishReason, ...(usage === undefined ? undefined : { usage }) });
      running?.content("output", () => message);
      end();
    },
    failed(error) {
      isOpen = false;
      fail(error);
    },
    left() {
      if (!isOpen) return;
      isOpen = false;
      running?.note({ outcome: "CANCELLED" });
      end();
    },
  };
}

/** Runs a tool as an operation. What is wrong with its input is told by the tool's answer, not by an error. */
export function observeTool<T extends object>(
  observe: Observe | undefined,
  { toolName, toolCallId, input }: ToolCallPart,
  run: () => Promise<T>,
): Promise<T> {
  if (observe === undefined) return run();
  return observe({ type: "tool", tool: toolName, toolCallId }, async (running) => {
    running.content("input", () => input);
    const done = await run();
    if ("problem" in done) running.note({ outcome: "INVALID_INPUT" });
    else if ("suspended" in done) running.note({ outcome: "suspended" });
    else if ("denied" in done) running.note({ outcome: "denied" });
    else running.content("output", () => (isRecord(done) ? done["value"] : undefined));
    return done;
  });
}
