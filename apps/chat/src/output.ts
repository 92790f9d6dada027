import type { Writable } from "node:stream";

/** Where text goes to. Once nobody reads it any more (`| head -1`), it says so instead of failing. */
export class Output {
  readonly #stream: Writable;
  #isGone = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    // EPIPE and the like: there is nobody left to tell.
    stream.on("error", () => (this.#isGone = true));
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Resolves when there is room for more. */
  async write(text: string): Promise<void> {
    if (this.#isGone || text === "") return;
    if (this.#stream.write(text)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stream.off("drain", done).off("error", done).off("close", done);
        resolve();
      };
      this.#stream.on("drain", done).on("error", done).on("close", done);
    });
  }
}
