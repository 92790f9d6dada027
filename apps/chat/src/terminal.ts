import type { ReadStream, WriteStream } from "node:tty";
import { isAixgoError, textOf, type Message, type ReplyStream, type SuspendRequest } from "@aixgo/core";
import { showBanner } from "./banner.ts";
import type { Chat } from "./chat.ts";
import { isCommand, messageIn, runCommand } from "./commands.ts";
import { explain, trace } from "./failures.ts";
import { Keyboard, MAX_RECALLED } from "./keyboard.ts";
import type { Output } from "./output.ts";
import { createPatience } from "./patience.ts";
import { oneLine, shortened } from "./printable.ts";
import { answerIn, questionOf } from "./question.ts";
import type { Style } from "./style.ts";
import { showTurn } from "./turn-view.ts";

export interface TerminalIo {
  readonly input: ReadStream;
  readonly screen: WriteStream;
  readonly output: Output;
  readonly style: Style;
  readonly debug: boolean;
  /** Runs `stop` on each Ctrl-C that does not come through the keyboard line. */
  onInterrupt(stop: () => void): void;
}

/** Talks until the user leaves. Returns the exit code. */
export async function runTerminal(chat: Chat, io: TerminalIo): Promise<number> {
  const { output, style, input, screen } = io;
  const messages = await chat.session.messages({ last: MAX_RECALLED });
  await showBanner(chat, messages, output, style);

  const prompt = `${style.name("you ›")} `;
  const keyboard = new Keyboard({ input, screen, output, prompt, recalled: recalled(messages) });
  let running: ReplyStream | undefined;
  let left = false;
  const interrupt = (): void => {
    if (running !== undefined) void running.cancel("stopped by Ctrl-C").catch(() => undefined);
    else if (!keyboard.clearLine()) {
      left = true;
      keyboard.close();
    }
  };
  keyboard.onInterrupt(interrupt);
  io.onInterrupt(interrupt);

  /** Shows one turn to its end; Ctrl-C is an end like others. */
  const answer = async (ask: (onStart: () => void) => ReplyStream): Promise<void> => {
    const patience = createPatience(
      () =>
        void output.write(`${style.dim("(waiting for another process that is answering in this session; Ctrl-C stops the waiting)")}\n`),
    );
    const ended = (): void => {
      patience.end();
      running = undefined;
      keyboard.show();
    };
    keyboard.hide();
    try {
      running = ask(() => patience.end());
      await showTurn(running, output, style);
    } catch (error) {
      if (!isAixgoError(error, "CANCELLED")) throw error;
      const kept = patience.isOver ? "your message is kept without an answer; ask again, or /undo" : "your message was not sent";
      // From here on Ctrl-C is for the next thing.
      ended();
      await output.write(`${style.warning("stopped")} ${style.dim(`(${kept})`)}\n`);
    } finally {
      ended();
    }
  };
  const report = async (error: unknown): Promise<void> => {
    await output.write(`${style.error("✗")} ${explain(error)}\n${io.debug ? `${style.dim(trace(error))}\n` : ""}`);
  };

  const openRequest = async (): Promise<SuspendRequest | undefined> => {
    try {
      return (await chat.requests())[0];
    } catch (error) {
      await report(error);
      return undefined;
    }
  };

  try {
    await goOn(chat, output, style, answer).catch(report);
    let asked: string | undefined;
    while (!left && !output.isGone) {
      const request = await openRequest();
      // What was typed before a question was seen is no answer to it.
      if (request !== undefined && request.requestId !== asked && keyboard.forget())
        await output.write(`${style.dim("(what you typed meanwhile is left out: there is a question first)")}\n`);
      asked = request?.requestId;
      const line = await keyboard.ask(request && `${style.warning(questionOf(request))} ${style.dim("(y/n)")} `);
      if (line === undefined) break;
      if (line.trim() === "") continue;
      try {
        if (isCommand(line)) {
          const { lines, quit } = await runCommand(chat, line, style);
          if (quit === true) break;
          await output.write(`${lines.join("\n")}\n`);
        } else if (request === undefined) await answer((onStart) => chat.ask(messageIn(line), onStart));
        else {
          const allowed = answerIn(line);
          if (allowed === undefined) await output.write(`${style.dim("y or n, please; /undo takes your message back instead")}\n`);
          else await answer((onStart) => chat.answer(request, allowed, onStart));
        }
      } catch (error) {
        await report(error);
      }
    }
  } finally {
    keyboard.close();
  }
  await output.write(`${style.dim(`Until next time: everything is kept in session ${chat.session.id}.`)}\n`);
  return 0;
}

/** After a crash the first thing is to finish what was begun. */
async function goOn(
  chat: Chat,
  output: Output,
  style: Style,
  answer: (ask: (onStart: () => void) => ReplyStream) => Promise<void>,
): Promise<void> {
  const turn = await chat.unfinishedTurn();
  if (turn === undefined) return;
  await output.write(
    `${style.warning("The last turn was cut off; going on with it:")}\n${style.name("you ›")} ${shortened(turn.text, 200)}\n`,
  );
  try {
    await answer((onStart) => chat.goOn(turn, onStart));
  } catch (error) {
    if (!isAixgoError(error, "SESSION_BUSY")) throw error;
    await output.write(`${style.dim("(not cut off after all: another process is answering it)")}\n`);
  }
}

/** What the user said before, newest first. */
function recalled(messages: readonly Message[]): readonly string[] {
  return messages
    .filter(({ role }) => role === "user")
    .map((message) => oneLine(textOf(message)))
    .filter((text) => text !== "")
    .reverse();
}
