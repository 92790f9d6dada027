/** Finds arithmetic in a clause. `ANSWER` in an expression stands for the result before it. */
export const ANSWER = "ANS";

const WORDS: Readonly<Record<string, string>> = {
  zero: "0",
  one: "1",
  two: "2",
  three: "3",
  four: "4",
  five: "5",
  six: "6",
  seven: "7",
  eight: "8",
  nine: "9",
  ten: "10",
  eleven: "11",
  twelve: "12",
  thirteen: "13",
  fourteen: "14",
  fifteen: "15",
  sixteen: "16",
  seventeen: "17",
  eighteen: "18",
  nineteen: "19",
  twenty: "20",
  thirty: "30",
  forty: "40",
  fifty: "50",
  sixty: "60",
  seventy: "70",
  eighty: "80",
  ninety: "90",
  hundred: "100",
  thousand: "1000",
  million: "1000000",
};

/** Spoken arithmetic, in the order in which it is replaced. */
const SPOKEN: readonly (readonly [pattern: RegExp, sign: string])[] = [
  [/(\d),(?=\d{3}\b)/g, "$1"],
  [/\b(?:multiplied by|times)\b/g, "*"],
  [/\bdivided by\b|\bover\b|÷/g, "/"],
  [/×|·|(?<=[\d)]\s*)x(?=\s*[\d(])/g, "*"],
  [/\s*(?:%|\bpercent|\bper cent)\s+of\b/g, " / 100 *"],
  [/\bplus\b/g, "+"],
  [/\bminus\b|−|–/g, "-"],
  [/\b(?:raised )?to the power of\b/g, "^"],
  [/\bmod(?:ulo)?\b/g, "%"],
  [/\bhalf of\b/g, "0.5 *"],
  [/\b(?:twice|double)(?= \(?-?\d)/g, "2 *"],
  [/\b(?:the )?square root of (\d[\d.]*|ANS)/g, "sqrt($1)"],
  [/ ?\bsquared\b/g, "^2"],
  [/ ?\bcubed\b/g, "^3"],
];

/** Orders that go on from the result before: "add 5", "divide it by 2", "double that". */
const ORDERS: readonly (readonly [pattern: RegExp, make: (n: string) => string])[] = [
  [/^add (-?[\d.]+)(?: to ANS)?$/, (n) => `${ANSWER} + ${n}`],
  [/^subtract (-?[\d.]+)(?: from ANS)?$/, (n) => `${ANSWER} - ${n}`],
  [/^multiply(?: ANS)? by (-?[\d.]+)$/, (n) => `${ANSWER} * ${n}`],
  [/^divide(?: ANS)? by (-?[\d.]+)$/, (n) => `${ANSWER} / ${n}`],
  [/^double(?: ANS)?$/, () => `${ANSWER} * 2`],
  [/^halve(?: ANS)?$/, () => `${ANSWER} / 2`],
  [/^square(?: ANS)?$/, () => `${ANSWER}^2`],
];

const ASKED = /^(?:what(?:'s| is| are|s)?|how (?:much|many) (?:is|are)|calculate|compute|evaluate|work out|solve|how about|and)\s+/;
const RUN = /(?:ANS|sqrt|cbrt|abs|round|floor|ceil|sin|cos|tan|ln|log|min|max|pi|\*\*|[\d.]+(?:e[+-]?\d+)?|[-+*/^%(),]|\s)+/g;

/** The expression in a clause, or undefined if it holds none. */
export function expressionIn(clause: string): string | undefined {
  const spoken = spokenAsSigns(clause);
  for (const [pattern, make] of ORDERS) {
    const match = pattern.exec(spoken);
    if (match !== null) return make(match[1] ?? "");
  }
  const asked = ASKED.test(spoken);
  const body = spoken
    .replace(ASKED, "")
    .replace(/^the (?:result|value|answer) of /, "")
    .replace(/\s*=\s*$/, "")
    .trim();
  const runs = (body.match(RUN) ?? []).map((run) => run.trim().replace(/[,.]+$/, "")).filter(isWorth);
  const [run] = runs;
  if (run === undefined || runs.length > 1) return undefined;
  // "My number is 5-4" is told, not asked: only a question, or nothing but an expression, is worked out.
  if (!asked && run.length !== body.length) return undefined;
  return /^[*/^%+]/.test(run) || /^-\s/.test(run) ? `${ANSWER} ${run}` : run;
}

function spokenAsSigns(clause: string): string {
  let text = ` ${clause.toLowerCase()} `.replace(/\b[a-z]+\b/g, (word) => (Object.hasOwn(WORDS, word) ? WORDS[word]! : word)).trim();
  text = text.replace(/\b(?:that result|the result|the answer|the total|that|it|this)\b(?! (?:is|was|means)\b)/g, ANSWER);
  for (const [pattern, sign] of SPOKEN) text = text.replace(pattern, sign);
  return text.replace(/\s+/g, " ").trim();
}

/** A number with an operator beside it, or a function of one. */
function isWorth(run: string): boolean {
  return (
    /\d|pi|ANS/.test(run) &&
    (/[\dI)S]\s*(?:[-+*/^%]|\*\*)\s*[-+(]?\s*[\d.a-zA]/.test(run) ||
      /^(?:[*/^%+]|-\s)\s*\(?[\d.]/.test(run) ||
      /^[-(]*[a-z]+\(.*\)/.test(run))
  );
}
