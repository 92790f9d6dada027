import { fromModelMessages, type ModelMessageInput, toModelMessages } from "@aixgo/agents";
import type { Reply, TurnOptions, Usage } from "@aixgo/core";
import type { Session } from "@aixgo/session";
import { type LanguageModel, type LanguageModelUsage, stepCountIs, streamText, type ToolSet } from "ai";

/** Steps of one turn; a model that still calls tools then has no answer. */
const MAX_STEPS = 8;

export interface AskOptions extends TurnOptions {
  readonly model: LanguageModel;
  readonly tools: ToolSet;
  readonly onText: (delta: string) => void;
}

/**
 * One question of a conversation, answered by the AI SDK's own loop in a durable turn.
 *
 * The prompt is what the session holds: earlier turns, the question, and the steps that an attempt before this one has stored. Each
 * step is stored before the model is asked again; the answer is stored with the turn's end.
 */
export function ask(session: Session, question: string, { model, tools, onText, ...options }: AskOptions): Promise<Reply> {
  return session.turn(
    question,
    async (turn) => {
      let stored = 0;
      const news = (messages: readonly ModelMessageInput[]) => {
        const drafts = fromModelMessages(messages.slice(stored));
        stored = messages.length;
        return drafts;
      };
      const result = streamText({
        model,
        tools,
        messages: toModelMessages([...(await turn.history()), turn.input, ...(await turn.steps())]),
        stopWhen: stepCountIs(MAX_STEPS),
        abortSignal: turn.signal,
        // Awaited before each call of the model. What fails in `onStepFinish` is swallowed: what could not be stored must end the turn.
        prepareStep: async ({ steps }) => {
          for (const draft of news(steps.at(-1)?.response.messages ?? [])) await turn.append(draft);
          return {};
        },
        // Errors are thrown below.
        onError: () => undefined,
      });
      for await (const part of result.fullStream) {
        if (part.type === "text-delta") onText(part.text);
        else if (part.type === "error") throw part.error;
        else if (part.type === "abort") throw turn.signal.reason;
      }
      const last = news((await result.response).messages);
      const answer = last.pop();
      for (const draft of last) await turn.append(draft);
      if (answer?.role === "assistant") return { message: answer, usage: counted(await result.totalUsage) };
      if (answer !== undefined) await turn.append(answer);
      const steps = (await result.steps).length;
      const why = steps < MAX_STEPS ? `it stopped with ${await result.finishReason}` : "that is all it is given";
      throw new Error(`the model has no answer after ${steps} steps (${why}). Ask again with the same turn key to go on`);
    },
    options,
  );
}

/** Of all steps of this attempt; what the provider does not count is left out. */
function counted({ inputTokens, outputTokens }: LanguageModelUsage): Usage {
  return { ...(inputTokens === undefined ? {} : { inputTokens }), ...(outputTokens === undefined ? {} : { outputTokens }) };
}
