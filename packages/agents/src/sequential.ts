import type { Execute, Message, MessageInput } from "@aixgo/core";
import { check, type Checks, callable, flag, invalid, words } from "./option-check.ts";
import { asAnswer, asInput, createStages, type StageReply } from "./stages.ts";

export interface SequentialStage {
  readonly agent: string;
  /** What the agent is asked. @default the composition's input for the first, the reply of the one before for the others */
  readonly input?: (previous: StageReply | undefined, input: Message) => MessageInput;
  /** Lends the agent the conversation. @default false */
  readonly history?: boolean;
}

const CHECKS: Checks<SequentialStage> = { agent: words, input: callable, history: flag };

/**
 * Agents one after the other: each is asked what the one before has answered; the last one's answer is the answer, and what it
 * shows is shown. The first that fails ends it with an error that names it.
 *
 * @throws AixgoError `INVALID_OPTION` naming the stage
 */
export function sequential(stages: readonly (string | SequentialStage)[]): Execute {
  if (!Array.isArray(stages) || stages.length === 0) throw invalid("sequential", "the stages must be a list that is not empty");
  const resolved = stages.map((stage: string | SequentialStage, index): SequentialStage => {
    const given = typeof stage === "string" ? { agent: stage } : stage;
    check("sequential", `stages[${index}].`, CHECKS, given, ["agent"]);
    return given;
  });
  return async (input, context) => {
    const done = await createStages("sequential", context);
    let previous: StageReply | undefined;
    for (const [index, { agent, input: ask, history = false }] of resolved.entries()) {
      const asked = ask?.(previous, input) ?? (previous === undefined ? asInput(input) : asInput(previous));
      const last = index === resolved.length - 1;
      previous = await done.call(`${index + 1}`, agent, asked, { history, last, show: last });
    }
    return asAnswer(previous?.parts ?? [], done);
  };
}
