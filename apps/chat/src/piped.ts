import type { Readable } from "node:stream";
import { isAixgoError, type Reply, type ReplyStream } from "@aixgo/core";
import type { Chat } from "./chat.ts";
import { isCommand, messageIn, runCommand } from "./commands.ts";
import { explain, trace } from "./failures.ts";
import { type BadLine, readLines } from "./line-reader.ts";
import type { Output } from "./output.ts";
import { createPatience } from "./patience.ts";
import { oneLine, shortened } from "./printable.ts";
import { answerIn, questionOf } from "./question.ts";
import { createStyle } from "./style.ts";

export interface PipedIo {
  readonly input: Readable;
  readonly output: Output;
  readonly errors: Output;
  readonly debug: boolean;
  /** Aborts on Ctrl-C: the running answer is stopped, and no more lines are read. */
  readonly stop: AbortSignal;
}

const PLAIN = createStyle(false);

/** One message a line in, one answer a line out, and nothing else on the output. Returns the exit code. */
export async function runPiped(chat: Chat, io: PipedIo): Promise<number> {
  let failed = false;
  const fail = async (where: string, error: unknown): Promise<void> => {
    failed = true;
    await io.errors.write(`chat: ${where}${explain(error)}\n${io.debug ? `${trace(error)}\n` : ""}`);
  };

  try {
    await goOnFirst(chat, io);
    await tellQuestion(chat, io);
  } catch (error) {
    await fail("the unfinished turn: ", error);
  }
  let number = 0;
  for await (const line of linesUntil(io.stop, io.input)) {
    if (io.stop.aborted || io.output.isGone) break;
    number += 1;
    const where = `line ${number}: `;
    if (typeof line !== "string") {
      await fail(where, new Error(line.problem));
      continue;
    }
    if (line.trim() === "") continue;
    try {
      if (isCommand(line)) {
        const { lines, quit } = await runCommand(chat, line, PLAIN);
        if (quit === true) break;
        await io.output.write(`${oneLine(lines.join(" | "))}\n`);
      } else {
        await io.output.write(`${await replyTo(line, chat, io)}\n`);
      }
    } catch (error) {
      if (io.stop.aborted) break;
      await fail(where, error);
    }
  }
  try {
    if (number > 0 && !io.stop.aborted) await tellQuestion(chat, io);
  } catch (error) {
    await fail("", error);
  }
  return failed ? 1 : 0;
}

/** The answer to a message, or to the question that waits: the agent's words, or its next question. */
async function replyTo(line: string, chat: Chat, io: PipedIo): Promise<string> {
  const [request] = await chat.requests();
  const allowed = request === undefined ? undefined : answerIn(line);
  if (request !== undefined && allowed === undefined)
    throw new Error(`the question ${JSON.stringify(questionOf(request))} waits for y or n; the line was not sent`);
  const { text, turn } = await answer(
    (onStart) => (request === undefined ? chat.ask(messageIn(line), onStart) : chat.answer(request, allowed === true, onStart)),
    io,
  );
  const [next] = turn?.requests ?? [];
  return next === undefined ? oneLine(text) : `${questionOf(next)} (y/n)`;
}

/** A question that nobody has answered is not lost, but it should not be overlooked. */
async function tellQuestion(chat: Chat, io: PipedIo): Promise<void> {
  const [request] = await chat.requests();
  if (request !== undefined) await io.errors.write(`chat: a question waits for a line with y or n: ${questionOf(request)}\n`);
}

/** The lines of the input; none any more once `stop` aborts, though the pipe may stay open. */
async function* linesUntil(stop: AbortSignal, input: Readable): AsyncGenerator<string | BadLine> {
  const end = (): void => void input.destroy();
  stop.addEventListener("abort", end, { once: true });
  try {
    if (!stop.aborted) yield* readLines(input);
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    stop.removeEventListener("abort", end);
  }
}

/** The answer belongs to a line of an earlier run, so it must not stand among the answers of this one. */
async function goOnFirst(chat: Chat, io: PipedIo): Promise<void> {
  const turn = await chat.unfinishedTurn();
  if (turn === undefined) return;
  try {
    const { text, turn: done } = await answer((onStart) => chat.goOn(turn, onStart), io);
    if (done?.replayed === true || done?.status === "suspended") return;
    await io.errors.write(`chat: finished the turn that was cut off (${JSON.stringify(shortened(turn.text, 60))}): ${oneLine(text)}\n`);
  } catch (error) {
    // It was not cut off: another process is at it, and the lines wait for it.
    if (!isAixgoError(error, "SESSION_BUSY")) throw error;
  }
}

/** Asks, and waits for the answer; a wait for another process is explained. */
async function answer(ask: (onStart: () => void) => ReplyStream, io: PipedIo): Promise<Reply> {
  const patience = createPatience(() => void io.errors.write("chat: waiting for another process that is answering in this session\n"));
  const stream = ask(() => patience.end());
  const stop = (): void => void stream.cancel("stopped by Ctrl-C").catch(() => undefined);
  io.stop.addEventListener("abort", stop, { once: true });
  try {
    if (io.stop.aborted) stop();
    return await stream.reply;
  } finally {
    patience.end();
    io.stop.removeEventListener("abort", stop);
  }
}
