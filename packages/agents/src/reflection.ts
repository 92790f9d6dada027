import { AixgoError, type Execute, type Message, type MessageInput, textOf } from "@aixgo/core";
import { callable, check, type Checks, flag, oneOf, whole, words } from "./option-check.ts";
import { asAnswer, asInput, createStages, type StageReply } from "./stages.ts";

export interface ReflectionOptions {
  /** The agent that writes drafts. */
  readonly author: string;
  /** The agent that judges them. */
  readonly critic: string;
  /** Drafts at most. @default 3 */
  readonly maxDrafts?: number;
  /** Whether the critic is content. @default its text starts with the word APPROVED */
  readonly accept?: (critique: StageReply, draft: StageReply) => boolean | Promise<boolean>;
  /** What the critic is asked. @default the task and the draft, with how to approve */
  readonly askCritic?: (draft: StageReply, input: Message) => MessageInput;
  /** What the author is asked after a critique. @default the task, the draft and the critique */
  readonly askAuthor?: (draft: StageReply, critique: StageReply, input: Message) => MessageInput;
  /** When the last draft is not accepted: it is the answer all the same, or the call fails with `LIMIT_EXCEEDED`. @default "answer" */
  readonly atLimit?: "answer" | "fail";
  /** Lends both agents the conversation. @default false */
  readonly history?: boolean;
}

const CHECKS: Checks<ReflectionOptions> = {
  author: words,
  critic: words,
  maxDrafts: whole(1),
  accept: callable,
  askCritic: callable,
  askAuthor: callable,
  atLimit: oneOf("answer", "fail"),
  history: flag,
};

/**
 * An author writes, a critic judges, the author writes again, until the critic is content or `maxDrafts` are written. The answer is
 * the last draft; its `metadata` says `{ drafts, accepted }`. Drafts are not shown while they are written: the next may replace them.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function reflection(options: ReflectionOptions): Execute {
  check("reflection", "", CHECKS, options, ["author", "critic"]);
  const {
    author,
    critic,
    maxDrafts = 3,
    accept = isApproved,
    askCritic = forCritic,
    askAuthor = forAuthor,
    atLimit = "answer",
    history = false,
  } = options;
  return async (input, context) => {
    const stages = await createStages("reflection", context);
    let asked = asInput(input);
    for (let drafts = 1; ; drafts += 1) {
      const draft = await stages.call(`draft ${drafts}`, author, asked, { history });
      const critique = await stages.call(`critique ${drafts}`, critic, askCritic(draft, input), { history });
      const judged: unknown = await accept(critique, draft);
      // Whatever a caller's own judgement gives.
      const accepted = Boolean(judged);
      if (accepted || (drafts === maxDrafts && atLimit === "answer")) return asAnswer(draft.parts, stages, { drafts, accepted });
      if (drafts === maxDrafts)
        throw new AixgoError(
          "LIMIT_EXCEEDED",
          `reflection "${context.agentName}": "${critic}" accepted none of the ${maxDrafts} drafts of "${author}" (maxDrafts)`,
        );
      asked = askAuthor(draft, critique, input);
    }
  };
}

function isApproved({ text }: StageReply): boolean {
  return /^\W*APPROVED\b/i.test(text);
}

function forCritic(draft: StageReply, input: Message): MessageInput {
  return `Task:\n${textOf(input)}\n\nDraft:\n${draft.text}\n\nJudge whether the draft does the task. If it does, answer with the one word APPROVED. If not, say what must change.`;
}

function forAuthor(draft: StageReply, critique: StageReply, input: Message): MessageInput {
  return `Task:\n${textOf(input)}\n\nYour draft:\n${draft.text}\n\nCritique:\n${critique.text}\n\nWrite the draft again, so that it meets the critique. Answer with the new text only.`;
}
