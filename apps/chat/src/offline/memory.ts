import { intentsOf, isSingle, type Intent } from "./intents.ts";
import { clausesOf, mirrored, topicOf } from "./phrases.ts";
import type { Said } from "./transcript.ts";

const STOP_WORDS: ReadonlySet<string> = new Set(
  (
    "a an the and or but of in on at to for from by with about is are was were am be been do does did have has had i me my mine you your we our it its this that these those " +
    "what who where when which why how can could would will shall should may might must tell told say said know remember please there here"
  ).split(" "),
);

interface Fact {
  readonly spoken: string;
  readonly verb: string;
  readonly value: string;
}

/** What the user told, read anew from the transcript each time: nothing is kept beside it. */
export class Memory {
  name: string | undefined;
  readonly #facts = new Map<string, Fact>();
  readonly #doings = new Map<string, string[]>();
  readonly #kept: string[] = [];
  readonly #statements: string[] = [];

  constructor(said: readonly Said[]) {
    for (const { who, text } of said) {
      if (who !== "user") continue;
      for (const intent of intentsOf(text)) this.learn(intent);
      for (const clause of clausesOf(text)) if (!clause.question) this.#statements.push(clause.text);
    }
  }

  learn(intent: Intent): void {
    if (intent.kind === "tell-name") this.name = intent.name;
    else if (intent.kind === "tell") {
      // Told again, it moves to the end: the newest comes last.
      this.#facts.delete(intent.topic);
      this.#facts.set(intent.topic, intent);
    } else if (intent.kind === "tell-doing") {
      const before = isSingle(intent.verb)
        ? []
        : (this.#doings.get(intent.verb) ?? []).filter((text) => text.toLowerCase() !== intent.text.toLowerCase());
      this.#doings.set(intent.verb, [...before, intent.text]);
    } else if (intent.kind === "keep") {
      this.#kept.push(intent.text);
      for (const inner of intent.within) this.learn(inner);
    }
  }

  fact(topic: string): Fact | undefined {
    return this.#facts.get(topic);
  }

  doings(verb: string): readonly string[] {
    return this.#doings.get(verb) ?? [];
  }

  get kept(): readonly string[] {
    return this.#kept;
  }

  /** Everything known about the user, as sentences said to them. */
  everything(): readonly string[] {
    return [
      ...(this.name === undefined ? [] : [`your name is ${this.name}`]),
      ...[...this.#facts.values()].map(({ spoken, verb, value }) => `your ${spoken} ${verb} ${mirrored(value)}`),
      ...[...this.#doings.values()].flat().map((text) => `you ${mirrored(text)}`),
      ...this.#kept.map((text) => `you asked me to remember: ${text}`),
    ];
  }

  /** The newest statement that shares most words with a question, and at least half of the question's. */
  recall(question: string): string | undefined {
    const wanted = contentWords(question);
    if (wanted.length === 0) return undefined;
    let best: { text: string; score: number } | undefined;
    for (const text of this.#statements) {
      const there = contentWords(text);
      const score = wanted.filter((word) => there.some((other) => alike(word, other))).length;
      if (score > 0 && score * 2 >= wanted.length && score >= (best?.score ?? 0)) best = { text, score };
    }
    return best?.text;
  }
}

function contentWords(text: string): readonly string[] {
  return topicOf(text)
    .split(" ")
    .filter((word) => word.length > 1 && !STOP_WORDS.has(word));
}

/** The same word but for its ending. */
function alike(a: string, b: string): boolean {
  const stem = Math.max(3, Math.min(a.length, b.length) - 2);
  return a === b || (a.length > 3 && b.length > 3 && a.slice(0, stem) === b.slice(0, stem) && Math.abs(a.length - b.length) <= 3);
}
