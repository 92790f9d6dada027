/** Splits what was said into clauses that are understood one by one. All of it is English. */
const MAX_INPUT = 4_000;
const MAX_CLAUSES = 20;

/** What a new clause begins with, after "and" or "then". */
const STARTS = [
  "what",
  "who",
  "where",
  "when",
  "which",
  "how",
  "do you",
  "did i",
  "tell",
  "show",
  "list",
  "remind",
  "remember",
  "calculate",
  "compute",
  "search",
  "my",
  "i",
  "i'm",
  "our",
  "the time",
  "add",
  "note",
  "take",
  "make",
  "write",
  "delete",
  "remove",
  "clear",
  "call me",
  "divided",
  "divide",
  "multiplied",
  "multiply",
  "times",
  "plus",
  "minus",
  "subtract",
  "double",
  "halve",
  "square",
  "squared",
  "cubed",
  "raise",
].join("|");
const JOINT = new RegExp(`(?:,? and then|,? then|,? and(?: also)?|,) (?=(?:please )?(?:${STARTS})\\b|[-+(]?\\d[\\d.]*\\s*[-+*/^%(])`, "gi");

/** Words before the clause itself, peeled off one after the other. */
const COURTESY =
  /^(?:please|hey|hi|hello|ok|okay|so|well|now|and|then|also|but|by the way|thanks|thank you|actually|again|sorry|(?:can|could|would|will) you(?: please)?(?: tell me| remind me(?: of)?| say)?|tell me|remind me(?: of)?|do you (?:still )?(?:know|remember)|i (?:want|would like|wonder|'d like) to know|i wonder)\b[\s,:!.-]*/i;

export interface Clause {
  /** As said, without courtesy and final punctuation. */
  readonly text: string;
  /** Asked rather than told. */
  readonly question: boolean;
}

export function clausesOf(input: string): readonly Clause[] {
  const sentences = operandsJoined(straightQuotes(input.slice(0, MAX_INPUT)))
    .split(/(?<=[.?!;])\s+|\n+/)
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
  const clauses: Clause[] = [];
  for (const sentence of sentences) {
    const asked = /\?\s*$/.test(sentence);
    // What is to be kept is kept whole: "note: eggs, and then call Bob" is one note.
    const pieces = /^(?:please )?(?:note\b|remember\b|(?:take|make|add|write)\b.{0,20}\bnote)/i.test(sentence)
      ? splitQuestion(sentence)
      : sentence.split(JOINT);
    for (const [index, piece] of pieces.entries()) {
      // "My name is Ada, and what is 6*7?" asks only at its end.
      const clause = clauseOf(piece, asked && index === pieces.length - 1);
      if (clause.text !== "" && clauses.length < MAX_CLAUSES) clauses.push(clause);
    }
  }
  return clauses;
}

/** "You" for "I", and the other way round: to say back what was said. */
export function mirrored(text: string): string {
  const swap: Readonly<Record<string, string>> = {
    i: "you",
    me: "you",
    my: "your",
    mine: "yours",
    myself: "yourself",
    am: "are",
    "i'm": "you're",
    "i've": "you've",
    "i'll": "you'll",
    "i'd": "you'd",
    our: "your",
    we: "you",
    us: "you",
  };
  return text.replace(/\b(?:i'm|i've|i'll|i'd|i|me|myself|my|mine|am|our|we|us)\b/gi, (word) => swap[word.toLowerCase()] ?? word);
}

/** One spelling for both sides of the ocean, no articles: what two ways to name a thing are compared by. */
export function topicOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/^(.+?)(?:'s)? name$/, "$1 name")
    .replace(/^name of (?:my |the |our )?(.+)$/, "$1 name")
    .replace(/\bfavourite\b/g, "favorite")
    .replace(/\bcolour\b/g, "color")
    .replace(/\b(?:the|a|an|my|our|current)\b/g, " ")
    .replace(/[^\p{L}\p{N}']+/gu, " ")
    .trim();
}

function clauseOf(piece: string, asked: boolean): Clause {
  let text = piece
    .trim()
    .replace(/[\s.?!;,]+$/, "")
    .replace(/,? (?:please|thanks|thank you)$/i, "");
  let question = asked;
  for (let rounds = 0; rounds < 6; rounds++) {
    const match = COURTESY.exec(text);
    if (match === null || match[0].length === text.length) break;
    if (/tell|remind|know|remember|wonder/i.test(match[0])) question = true;
    text = text.slice(match[0].length);
  }
  return { text, question: question || /^(?:what|who|where|when|which|how|why|is|are|do|does|did|am|was)\b/i.test(text) };
}

/** Only a question after what is to be kept is a clause of its own. */
function splitQuestion(sentence: string): readonly string[] {
  return sentence.split(/,? (?:and|then|and then) (?=(?:what|who|where|when|which|how|show|list|tell me)\b)/i);
}

/** "the sum of 3 and 5" holds an "and" that joins no clauses. */
function operandsJoined(text: string): string {
  const signs: Readonly<Record<string, string>> = { sum: "+", product: "*", difference: "-", quotient: "/" };
  return text.replace(
    /\b(?:the )?(sum|product|difference|quotient) (?:of|between) (-?[\d.]+) and (-?[\d.]+)/gi,
    (_, word: string, a: string, b: string) => `(${a} ${signs[word.toLowerCase()]} ${b})`,
  );
}

function straightQuotes(text: string): string {
  return text.replace(/[\u2018\u2019]/g, "'").replace(/[\u201C\u201D]/g, '"');
}
