import { createRuntime, textOf, withSessionManager } from "@aixgo/core";
import { openStore } from "./store.ts";

/** What the parent sends: a question for the session, or the end. */
export interface Question {
  readonly text: string;
  readonly turnKey: string;
  /** Stay in the middle of the answer until killed. */
  readonly hang?: boolean;
}

const [url = "", sessionId = "", name = ""] = process.argv.slice(2);
const sessions = openStore(url);
let hangs = false;

const runtime = createRuntime(withSessionManager(sessions)).register("assistant", async (input, context) => {
  const [history, steps] = [await context.history(), await context.steps()];
  if (steps.length === 0) await context.emit({ type: "message", message: `${name} thinks about ${JSON.stringify(textOf(input))}` });
  if (hangs) {
    process.send?.({ hanging: true });
    await new Promise((resolve) => setTimeout(resolve, 600_000));
  }
  const questions = history.filter(({ role }) => role === "user").length;
  return `${name}: this is question ${questions + 1}, attempt ${context.session?.attempt}`;
});
await runtime.start();

process.on("message", (question: Question) => {
  hangs = question.hang === true;
  runtime
    .callWithSession("assistant", question.text, sessionId, { turnKey: question.turnKey })
    .then((reply) => process.send?.({ answer: reply.text, replayed: reply.turn?.replayed }))
    .catch((error: unknown) => process.send?.({ problem: String(error) }));
});
process.on("disconnect", () => void runtime.stop().then(() => sessions.close()));
process.send?.({ ready: true });
