const MOST = 20;

/** What was found and mended in one session: sentences for a person, the first twenty, and how many more there were. */
export class Notes {
  readonly #kept: string[] = [];
  #more = 0;
  #late: Notes | undefined;

  add(note: string): void {
    if (this.#kept.length < MOST) this.#kept.push(note);
    else this.#more += 1;
  }

  /** What was found while the lines were drawn; in place of what an earlier drawing found. */
  replaceLate(late: Notes): void {
    this.#late = late;
  }

  list(): readonly string[] {
    const more = this.#more === 0 ? [] : [`and ${this.#more} more of the kind`];
    return [...this.#kept, ...more, ...(this.#late?.list() ?? [])];
  }
}

/** A name from a foreign file, fit to be shown: short, without control characters. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
