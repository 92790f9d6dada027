/**
 * Arithmetic, read by recursive descent:
 *
 *     sum     = product { ("+" | "-") product }
 *     product = sign { ("*" | "/" | "%") sign }
 *     sign    = { "+" | "-" } power
 *     power   = atom [ ("^" | "**") sign ]          right-associative, binds tighter than a sign on its left
 *     atom    = number | constant | function "(" sum { "," sum } ")" | "(" sum ")"
 */
const MAX_LENGTH = 1_000;
const MAX_DEPTH = 100;

const CONSTANTS: Readonly<Record<string, number>> = { pi: Math.PI, e: Math.E };

/** What a function takes at least and at most, and what it does. */
const FUNCTIONS: Readonly<Record<string, readonly [least: number, most: number, body: (...values: number[]) => number]>> = {
  sqrt: [1, 1, Math.sqrt],
  cbrt: [1, 1, Math.cbrt],
  abs: [1, 1, Math.abs],
  round: [1, 1, Math.round],
  floor: [1, 1, Math.floor],
  ceil: [1, 1, Math.ceil],
  sin: [1, 1, Math.sin],
  cos: [1, 1, Math.cos],
  tan: [1, 1, Math.tan],
  ln: [1, 1, Math.log],
  log: [1, 1, Math.log10],
  min: [1, 50, Math.min],
  max: [1, 50, Math.max],
};

const TOKEN = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z]+)|(\*\*|[-+*/%^(),]))/y;

/** An expression that cannot be worked out; its message is meant for whoever wrote the expression. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";
}

/** Works out an expression. Throws `ExpressionError`. */
export function evaluate(text: string): number {
  if (text.length > MAX_LENGTH) throw new ExpressionError(`an expression may have ${MAX_LENGTH} characters, this one has ${text.length}`);
  const tokens = tokenize(text);
  if (tokens.length === 0) throw new ExpressionError("the expression is empty");
  const reader = new Reader(tokens);
  const value = reader.sum(0);
  const rest = reader.peek();
  if (rest !== undefined) throw new ExpressionError(`"${rest}" was not expected there`);
  if (Number.isNaN(value)) throw new ExpressionError("the result is not a real number");
  if (!Number.isFinite(value)) throw new ExpressionError("the result is too large");
  return tidy(value);
}

/** 15 significant digits: hides what binary fractions add (0.1 + 0.2), and -0. */
function tidy(value: number): number {
  return Number.isSafeInteger(value) ? value + 0 : Number(value.toPrecision(15)) + 0;
}

function tokenize(text: string): readonly string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new ExpressionError(`"${text.slice(at).trimStart().slice(0, 10)}" is no number, operator or function`);
    tokens.push(match[0].trimStart());
  }
  return tokens;
}

class Reader {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  sum(depth: number): number {
    if (depth > MAX_DEPTH) throw new ExpressionError(`parentheses are nested more than ${MAX_DEPTH} deep`);
    let value = this.#product(depth);
    for (;;) {
      if (this.#take("+")) value += this.#product(depth);
      else if (this.#take("-")) value -= this.#product(depth);
      else return value;
    }
  }

  #product(depth: number): number {
    let value = this.#sign(depth);
    for (;;) {
      if (this.#take("*")) value *= this.#sign(depth);
      else if (this.#take("/")) value /= nonZero(this.#sign(depth));
      else if (this.#take("%")) value %= nonZero(this.#sign(depth));
      else return value;
    }
  }

  #sign(depth: number): number {
    let negative = false;
    for (;;) {
      if (this.#take("-")) negative = !negative;
      else if (!this.#take("+")) break;
    }
    const value = this.#power(depth);
    return negative ? -value : value;
  }

  #power(depth: number): number {
    if (depth > MAX_DEPTH) throw new ExpressionError(`powers are nested more than ${MAX_DEPTH} deep`);
    const base = this.#atom(depth);
    return this.#take("^") || this.#take("**") ? base ** this.#sign(depth + 1) : base;
  }

  #atom(depth: number): number {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new ExpressionError("the expression ends too early");
    if (/^[\d.]/.test(token)) return Number(token);
    if (token === "(") {
      const value = this.sum(depth + 1);
      this.#close();
      return value;
    }
    const name = token.toLowerCase();
    if (Object.hasOwn(CONSTANTS, name)) return CONSTANTS[name]!;
    if (Object.hasOwn(FUNCTIONS, name)) return this.#call(name, depth);
    throw new ExpressionError(/^[a-z]/.test(name) ? `"${token}" is not known here` : `"${token}" was not expected there`);
  }

  #call(name: string, depth: number): number {
    const [least, most, body] = FUNCTIONS[name]!;
    if (!this.#take("(")) throw new ExpressionError(`${name} needs its value in parentheses`);
    const values = [this.sum(depth + 1)];
    while (this.#take(",")) {
      values.push(this.sum(depth + 1));
      if (values.length > most) break;
    }
    if (values.length < least || values.length > most)
      throw new ExpressionError(`${name} takes ${most === least ? most : `${least} to ${most}`} values`);
    this.#close();
    return body(...values);
  }

  #close(): void {
    if (!this.#take(")")) throw new ExpressionError('a ")" is missing');
  }

  #take(token: string): boolean {
    if (this.peek() !== token) return false;
    this.#at++;
    return true;
  }
}

function nonZero(value: number): number {
  if (value === 0) throw new ExpressionError("division by zero");
  return value;
}
