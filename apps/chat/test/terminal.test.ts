import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Chat, openChat } from "../src/chat.ts";
import { chooseModel } from "../src/model-choice.ts";
import { Output } from "../src/output.ts";
import { createStyle } from "../src/style.ts";
import { runTerminal } from "../src/terminal.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const UP = "\u001b[A";

/** Keys in, screen out, as a terminal would have them. */
class FakeTerminal {
  readonly #keys = new PassThrough();
  #text = "";
  readonly ended: Promise<number>;
  readonly #looks = new Set<() => void>();

  constructor(chat: Chat) {
    const screen = new Writable({
      write: (chunk: Buffer, _, done) => {
        this.#text += chunk.toString();
        for (const look of this.#looks) look();
        done();
      },
    });
    Object.assign(screen, { isTTY: true, columns: 100 });
    this.ended = runTerminal(chat, {
      input: this.#keys as unknown as ReadStream,
      screen: screen as unknown as WriteStream,
      output: new Output(screen),
      style: createStyle(false),
      debug: false,
      onInterrupt: () => undefined,
    });
  }

  /** What was written since the start, without the control codes. */
  get text(): string {
    return stripVTControlCharacters(this.#text).replaceAll("\r", "");
  }

  press(keys: string): void {
    this.#keys.write(keys);
  }

  seen(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!pattern.test(this.text)) return;
        this.#looks.delete(look);
        resolve();
      };
      this.#looks.add(look);
      look();
    });
  }
}

let dir: string;
const open: Chat[] = [];

async function openAs(user: string, wordDelayMs = 0): Promise<Chat> {
  const model = await chooseModel({ named: undefined, env: {}, wordDelayMs });
  const chat = await openChat({ user, session: undefined, sessionDir: join(dir, "sessions"), model: undefined, color: false }, model);
  open.push(chat);
  return chat;
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "aixgo-terminal-test-"));
});
afterEach(async () => {
  for (const chat of open.splice(0)) await chat.close();
  await rm(dir, { recursive: true, force: true });
});

describe("in a terminal", () => {
  it("shows who answers and where, the answer, and each tool step on its line", async () => {
    const terminal = new FakeTerminal(await openAs("ada"));
    await terminal.seen(/you › $/);
    terminal.press("what is (2+3)*4 and then divided by 5?\r");
    await terminal.seen(/= 4\.\n/);
    terminal.press(CTRL_D);
    expect(await terminal.ended).toBe(0);
    expect(terminal.text).toMatch(/model +small offline model/);
    expect(terminal.text).toMatch(/session [0-9a-f]{32} of ada, 0 messages, stored in .*sessions\n/);
    expect(terminal.text).toMatch(
      / {2}⚙ calculator expression=\(2\+3\)\*4\n {2}↳ .*20\}\n {2}⚙ calculator expression=20 \/ 5\n {2}↳ .*4\}\nagent › \(2\+3\)\*4 = 20, then 20 \/ 5 = 4\.\n/,
    );
  });

  it("shows the last exchange when one comes back, and recalls what was typed", async () => {
    const first = new FakeTerminal(await openAs("ada"));
    first.press(`My name is Ada\r`);
    await first.seen(/meet you/);
    first.press(CTRL_D);
    await first.ended;
    const second = new FakeTerminal(await openAs("ada"));
    await second.seen(/last time you › My name is Ada\n +agent › Nice to meet you, Ada\.\n/);
    await second.seen(/you › $/);
    second.press(`${UP}\r`);
    await second.seen(/agent › Nice to meet you, Ada\.\n[^]*agent › Nice to meet you, Ada\.\n/);
    second.press(CTRL_D);
    await second.ended;
  });

  it("stops the answer at Ctrl-C, and only then the program", async () => {
    const chat = await openAs("ada", 50);
    const terminal = new FakeTerminal(chat);
    terminal.press("what can you do?\r");
    await terminal.seen(/agent › I am/);
    terminal.press(CTRL_C);
    await terminal.seen(/stopped \(/);
    terminal.press("half a line");
    terminal.press(CTRL_C);
    terminal.press("/history\r");
    await terminal.seen(/you what can you do\?\n/);
    expect(terminal.text).not.toMatch(/assistant I am/);
    terminal.press(CTRL_C);
    expect(await terminal.ended).toBe(0);
    expect(await chat.unfinishedTurn()).toBeUndefined();
  });

  it("asks and takes y or n, and nothing that was typed before the question; quitting there asks again at the next start", async () => {
    const first = new FakeTerminal(await openAs("ada"));
    await first.seen(/you › $/);
    first.press("Add a note: milk\r");
    await first.seen(/Noted: milk/);
    first.press("clear my notes\ry\r");
    await first.seen(/what you typed meanwhile is left out/);
    await first.seen(/May I run notes action=clear\? \(y\/n\) $/);
    first.press("perhaps\r");
    await first.seen(/y or n, please/);
    first.press(CTRL_D);
    expect(await first.ended).toBe(0);

    const second = new FakeTerminal(await openAs("ada"));
    await second.seen(/last time you › clear my notes\n[^]*May I run notes action=clear\? \(y\/n\) $/);
    second.press("/history\r");
    await second.seen(/⚙ notes action=clear\n[^]*\(y\/n\) $/);
    second.press("n\r");
    await second.seen(/↳ not allowed\n[^]*I could not change or read your notes: it was not allowed\./);
    second.press("clear my notes\r");
    await second.seen(/not allowed\.\n[^]*clear my notes[^]*\(y\/n\) $/);
    second.press("y\r");
    await second.seen(/All notes are removed\.\n/);
    second.press(CTRL_D);
    expect(await second.ended).toBe(0);
  });

  it("takes the message back at the question with /undo", async () => {
    const terminal = new FakeTerminal(await openAs("ada"));
    await terminal.seen(/you › $/);
    terminal.press("clear my notes\r");
    await terminal.seen(/\(y\/n\) $/);
    terminal.press("/undo\r");
    await terminal.seen(/is undone; 0 messages left[^]*you › $/);
    terminal.press("My name is Ada\r");
    await terminal.seen(/meet you, Ada/);
    terminal.press(CTRL_D);
    await terminal.ended;
  });

  it("goes on at once with a turn that was cut off, from its stored input", async () => {
    const cut = await openAs("ada", 100);
    const stream = cut.ask("My name is Ada, and what can you do?", () => undefined);
    for await (const event of stream) if (event.type === "text-delta") break;
    // Closing ends the turn as interrupted, as a signal does.
    await cut.close();
    await expect(stream.reply).rejects.toThrow();

    const terminal = new FakeTerminal(await openAs("ada"));
    await terminal.seen(
      /The last turn was cut off; going on with it:\nyou › My name is Ada, and what can you do\?\nagent › Nice to meet you, Ada\. I am .*\n/,
    );
    terminal.press("what is my name?\r");
    await terminal.seen(/Your name is Ada\./);
    terminal.press(CTRL_D);
    await terminal.ended;
  });

  it("keeps what is typed while the agent speaks, for after", async () => {
    const terminal = new FakeTerminal(await openAs("ada", 20));
    terminal.press("My name is Ada\r");
    await terminal.seen(/agent › Nice/);
    terminal.press("what is my name?\r");
    await terminal.seen(/meet you, Ada\.\nyou › what is my name\?\nagent › Your name is Ada\.\n/);
    terminal.press(CTRL_D);
    await terminal.ended;
  });

  it("draws branches, and marks where one is", async () => {
    const terminal = new FakeTerminal(await openAs("ada"));
    terminal.press("I like tea\r/undo\rI like cake\r/tree\r");
    await terminal.seen(/← here\n/);
    expect(terminal.text.replace(/ [\w-]{8}(?=\n| {2}←)/g, "")).toContain(
      [
        "○ the beginning",
        "├─○ you: I like tea",
        "│ ○ agent: I will remember that you like tea.",
        "● you: I like cake",
        "● agent: I will remember that you like cake.  ← here",
      ].join("\n"),
    );
    terminal.press("/quit\r");
    expect(await terminal.ended).toBe(0);
  });

  it("shows no control characters that came from elsewhere", async () => {
    const terminal = new FakeTerminal(await openAs("ada"));
    await terminal.seen(/you › $/);
    terminal.press("/checkpoint x\r");
    await terminal.seen(/Checkpoint/);
    const chat = open.at(-1)!;
    await chat.session.append("\u001b]0;owned\u0007\u001b[2Jred \u202Etxt");
    terminal.press("/history\r");
    await terminal.seen(/you \]0;owned\[2Jred txt\n/);
    terminal.press(CTRL_D);
    await terminal.ended;
  });
});
