import {
  ARGUMENT,
  ASSIGNMENT,
  GOES_ON,
  KNOWN_TOKEN,
  OPENING,
  PEM,
  PEM_END,
  RUN,
  SCHEME,
  SPACE,
  UNQUOTED,
  USER,
  WORD,
} from "./secret-patterns.ts";
import { isWellFormed } from "./text.ts";

/** Longest text that is looked at, in UTF-16 units; the rest is cut off before anything else. */
const MAX_INPUT = 16 * 1024;
/** Longest result, in UTF-16 units. */
const MAX_OUTPUT = 2048;
const MAX_NAME = 64;
const MASK = "[redacted]";
const CUT = "… [cut]";
/** `dbPass`; `bypass` and `compass` are other words. */
const CAMEL_PASS = /[a-z0-9]Pass$/;

/** What is left of an error when it is recorded or logged. */
export interface RedactedError {
  readonly name: string;
  /** `code` of the error, if it is a short text or a number. */
  readonly code?: string;
  readonly message: string;
}

/**
 * Replaces every secret that is recognized by `[redacted]`, whole: private keys and certificates (PEM), credentials in URLs,
 * values assigned to names such as `password` or `api_key`, Authorization headers, JWTs and tokens with a known beginning.
 * When in doubt it takes too much. The result has at most 2,048 characters; text beyond 16 Ki characters is dropped unseen.
 *
 * It is a net under careless messages, not a licence: what must stay secret must not be put into errors.
 */
export function redact(text: string): string {
  let result = text.length > MAX_INPUT ? withoutLastWord(text.slice(0, MAX_INPUT)) : text;
  result = redactPem(result);
  result = redactUrls(result);
  result = redactAfter(result, ASSIGNMENT);
  result = redactAfter(result, ARGUMENT);
  result = redactAfter(result, USER);
  result = redactAfter(result, SCHEME);
  result = result.replace(RUN, redactRun);
  return bounded(result, text.length > MAX_INPUT);
}

/**
 * Whether what is kept under this name is a secret by its name alone: `password`, `x-api-key`, `refreshToken`, `--client-secret`. For
 * structured data, where name and value are apart.
 */
export function isSecretName(name: string): boolean {
  ASSIGNMENT.lastIndex = 0;
  // It is the end of a name that says what it is.
  return ASSIGNMENT.test(`${name.slice(-MAX_NAME)}=`) || CAMEL_PASS.test(name);
}

/**
 * An error, or whatever was thrown, as what may be recorded: name, code and message, redacted and bounded; no stack, no further members.
 * Never throws, whatever the value's getters do.
 */
export function redactError(error: unknown): RedactedError {
  const name = textOf(error, "name");
  const code = textOf(error, "code");
  return {
    name: name === undefined || name === "" ? "Error" : redact(name).slice(0, MAX_NAME),
    ...(code === undefined || code === "" || code.length > MAX_NAME ? undefined : { code: redact(code) }),
    message: redact(messageOf(error, 0)),
  };
}

function messageOf(error: unknown, depth: number): string {
  const message = typeof error === "string" ? error : textOf(error, "message");
  if (message !== undefined && message !== "") return message;
  // A failed connection to a name with several addresses has no message of its own.
  const inner = depth < 3 ? firstOf(error) : undefined;
  return inner === undefined ? "no message" : messageOf(inner, depth + 1);
}

function firstOf(error: unknown): unknown {
  try {
    const { errors } = error as { errors?: unknown };
    return Array.isArray(errors) ? errors[0] : undefined;
  } catch {
    return undefined;
  }
}

/** A member of a foreign value as text, if it is one; getters may throw. */
function textOf(value: unknown, member: string): string | undefined {
  try {
    const found = (value as { [member: string]: unknown } | null | undefined)?.[member];
    return typeof found === "string" ? found : typeof found === "number" ? String(found) : undefined;
  } catch {
    return undefined;
  }
}

function redactPem(text: string): string {
  PEM.lastIndex = 0;
  let result = "";
  let done = 0;
  for (let begin = PEM.exec(text); begin !== null; begin = PEM.exec(text)) {
    PEM_END.lastIndex = PEM.lastIndex;
    const end = PEM_END.exec(text);
    result += text.slice(done, begin.index) + MASK;
    done = end === null ? text.length : PEM_END.lastIndex;
    PEM.lastIndex = done;
  }
  return result + text.slice(done);
}

function redactUrls(text: string): string {
  return text.includes("://") ? text.replace(WORD, redactUrl) : text;
}

/** `scheme://user:password@host`; a password may hold any character but space, also `/` and `@`. */
function redactUrl(word: string): string {
  const scheme = word.indexOf("://");
  if (scheme < 0) return word;
  const begin = scheme + 3;
  const end = word.lastIndexOf("@");
  if (end < begin) return word;
  const stop = word.slice(begin, end).search(/[/?#]/);
  const authority = stop < 0 ? word.slice(begin, end + 1) : word.slice(begin, begin + stop);
  return /[@:]/.test(authority) ? word.slice(0, begin) + MASK + word.slice(end) : word;
}

/** Redacts the value behind each match: up to the closing quote, or the next space. */
function redactAfter(text: string, start: RegExp): string {
  start.lastIndex = 0;
  let result = "";
  let done = 0;
  for (let match = start.exec(text); match !== null; match = start.exec(text)) {
    const from = start.lastIndex;
    const to = endOfValue(text, from);
    if (to > from) {
      result += text.slice(done, from) + MASK;
      done = to;
    }
    start.lastIndex = Math.max(to, from);
  }
  return result + text.slice(done);
}

function endOfValue(text: string, from: number): number {
  OPENING.lastIndex = from;
  const opening = OPENING.exec(text)?.[0];
  if (opening !== undefined) {
    const plain = opening.length === 1;
    for (let at = text.indexOf(opening, from + opening.length); at >= 0; at = text.indexOf(opening, at + 1)) {
      // Within a plain quote, a quote behind a backslash belongs to the value.
      if (!plain || !isEscaped(text, at, from)) return at + opening.length;
    }
    return text.length;
  }
  let end = endOfWord(text, from);
  // `Authorization: Bearer abc`: the scheme is not the secret. `Cookie: a=b; c=d`: nor is the first cookie all of it.
  for (let begin = from; GOES_ON.test(text.slice(begin, end));) {
    SPACE.lastIndex = end;
    begin = end + (SPACE.exec(text)?.[0].length ?? 0);
    const next = endOfWord(text, begin);
    if (begin === end || next === begin) break;
    end = next;
  }
  return end;
}

function endOfWord(text: string, from: number): number {
  UNQUOTED.lastIndex = from;
  return from + (UNQUOTED.exec(text)?.[0].length ?? 0);
}

function isEscaped(text: string, at: number, from: number): boolean {
  let slashes = 0;
  while (at - slashes - 1 > from && text[at - slashes - 1] === "\\") slashes++;
  return slashes % 2 === 1;
}

function redactRun(run: string): string {
  const at = run.search(KNOWN_TOKEN);
  return at < 0 ? run : run.slice(0, at) + MASK;
}

/** Where the input was cut, half a secret might no longer be recognized: the word at the cut goes. */
function withoutLastWord(text: string): string {
  let end = text.length;
  while (end > 0 && !/\s/.test(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

function bounded(text: string, wasCut: boolean): string {
  const fits = text.length <= MAX_OUTPUT && !wasCut;
  let result = fits ? text : text.slice(0, MAX_OUTPUT - CUT.length) + CUT;
  // A record must be well-formed; a cut may have split a pair, and foreign text may hold lone surrogates.
  if (!isWellFormed(result)) result = result.replace(/\p{Surrogate}/gu, "\ufffd");
  return result;
}
