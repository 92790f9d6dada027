import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import type { Output } from "./output.ts";
import { printable } from "./printable.ts";

export interface KeyboardIo {
  readonly input: ReadStream;
  readonly screen: WriteStream;
  readonly output: Output;
  readonly prompt: string;
  /** What the arrow keys bring back, newest first. */
  readonly recalled: readonly string[];
}

/** Lines that the arrow keys bring back. */
export const MAX_RECALLED = 200;

/** The input line. What is typed while the agent speaks is not shown in between; it is there when the agent is done. */
export class Keyboard {
  readonly #line: Interface;
  readonly #typed: string[] = [];
  #waiting: ((line: string | undefined) => void) | undefined;
  #isHidden = false;
  #isClosed = false;
  readonly #output: Output;
  readonly #prompt: string;

  constructor({ input, screen, output, prompt, recalled }: KeyboardIo) {
    this.#output = output;
    this.#prompt = prompt;
    const echo = new Writable({
      write: (chunk: Buffer, _, done) => {
        if (this.#isHidden) done();
        else screen.write(chunk, () => done());
      },
    });
    // Readline asks its output for its width.
    Object.defineProperty(echo, "columns", { get: () => screen.columns });
    Object.defineProperty(echo, "isTTY", { value: screen.isTTY });
    screen.on("resize", () => echo.emit("resize"));
    this.#line = createInterface({
      input,
      output: echo,
      terminal: screen.isTTY === true,
      prompt,
      historySize: MAX_RECALLED,
      history: [...recalled],
      removeHistoryDuplicates: true,
    });
    this.#line.on("line", (line) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting === undefined) this.#typed.push(line);
      else waiting(line);
    });
    this.#line.on("close", () => {
      this.#isClosed = true;
      this.#waiting?.(undefined);
    });
  }

  /** The next line; undefined: there will be none. */
  async ask(prompt: string = this.#prompt): Promise<string | undefined> {
    const typed = this.#typed.shift();
    if (typed !== undefined) {
      // Typed while the agent spoke, and hidden then.
      await this.#output.write(`${prompt}${printable(typed)}\n`);
      return typed;
    }
    if (this.#isClosed) return undefined;
    this.#line.setPrompt(prompt);
    this.#line.prompt(true);
    const line = await new Promise<string | undefined>((resolve) => (this.#waiting = resolve));
    if (line === undefined) await this.#output.write("\n");
    return line;
  }

  /** Drops the lines that were typed while the agent spoke. Says whether there were any. */
  forget(): boolean {
    return this.#typed.splice(0).length > 0;
  }

  onInterrupt(stop: () => void): void {
    this.#line.on("SIGINT", stop);
  }

  /** Empties the line that is being typed. False: it was empty. */
  clearLine(): boolean {
    if (this.#isClosed || this.#line.line === "") return false;
    this.#line.write(null, { ctrl: true, name: "e" });
    this.#line.write(null, { ctrl: true, name: "u" });
    return true;
  }

  hide(): void {
    this.#isHidden = true;
  }

  show(): void {
    this.#isHidden = false;
  }

  close(): void {
    if (!this.#isClosed) this.#line.close();
  }
}
