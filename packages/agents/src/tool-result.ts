import { type Json, type Part, toMessage, type ToolOutput, type ToolResultPart } from "@aixgo/core";
import { cutText, isRecord, NotJsonError, toJson, wellFormed } from "./json.ts";

/** Of an error's own words, in bytes. */
const MAX_ERROR_BYTES = 2_000;
const MAX_ISSUES = 10;

/** What a tool returned, as the model is told. What cannot be told is said to have run: a model that thinks it failed would call again. */
export function outputOf(value: unknown, maxBytes: number): ToolOutput {
  let json: Json;
  try {
    json = value === undefined ? null : toJson(value);
  } catch (error) {
    // What `toJSON` and getters throw is a tool's, too.
    const problem = error instanceof NotJsonError ? `it ${error.message}` : `it cannot be read: ${wordsOf(error)}`;
    return { type: "error-text", value: `The tool ran to its end, but its result is not JSON: ${problem}.` };
  }
  const text = typeof json === "string" ? json : JSON.stringify(json);
  const cut = cutWithNote(text, maxBytes);
  if (cut !== text) return { type: "text", value: cut };
  return typeof json === "string" ? { type: "text", value: json } : { type: "json", value: json };
}

/** What a tool itself says that the model is told, checked and within `maxBytes`. */
export function toldOutput(say: () => unknown, maxBytes: number): ToolOutput {
  let output: ToolOutput;
  try {
    const part = { type: "tool-result", toolCallId: "call", toolName: "tool", output: say() };
    output = (toMessage({ role: "tool", parts: [part as Part] }, "tool").parts[0] as ToolResultPart).output;
  } catch (error) {
    return errorOutput(`The tool ran to its end, but its toOutput failed: ${wordsOf(error)}`);
  }
  switch (output.type) {
    case "text":
    case "error-text":
      return { ...output, value: cutWithNote(output.value, maxBytes) };
    case "json":
    case "error-json": {
      const text = JSON.stringify(output.value);
      const cut = cutWithNote(text, maxBytes);
      return cut === text ? output : { type: output.type === "json" ? "text" : "error-text", value: cut };
    }
    case "content":
      return { ...output, value: withinBytes(output.value, maxBytes) };
    default:
      return output;
  }
}

/** The parts that fit, in their order; in place of each that does not, a note. */
function withinBytes(parts: readonly Part[], maxBytes: number): readonly Part[] {
  let left = maxBytes;
  return parts.map((part): Part => {
    const bytes = Buffer.byteLength(part.type === "text" ? part.text : JSON.stringify(part));
    if (bytes <= left) {
      left -= bytes;
      return part;
    }
    if (part.type === "text") {
      const text = cutWithNote(part.text, left);
      left = 0;
      return { type: "text", text };
    }
    const what = part.type === "file" ? `a file of type ${cutText(part.mediaType, 100)}` : `a part of type ${part.type}`;
    return { type: "text", text: `[${what} was left out: it has ${bytes} bytes, the limit of the result is ${maxBytes}]` };
  });
}

function cutWithNote(text: string, maxBytes: number): string {
  const bytes = text.length * 3 <= maxBytes ? 0 : Buffer.byteLength(text);
  return bytes <= maxBytes ? text : `${cutText(text, maxBytes)}\n[cut here: the result has ${bytes} bytes, the limit is ${maxBytes}]`;
}

export function errorOutput(text: string): ToolOutput {
  return { type: "error-text", value: wellFormed(text) };
}

/** The words of whatever was thrown, bounded. */
export function wordsOf(error: unknown): string {
  let words: unknown;
  try {
    words =
      error instanceof Error
        ? error.message || error.name
        : isRecord(error) && typeof error["message"] === "string"
          ? error["message"]
          : String(error);
  } catch {
    words = undefined;
  }
  return typeof words === "string" ? cutText(wellFormed(words), MAX_ERROR_BYTES) : "an error without words";
}

export type Validated = { readonly value: unknown } | { readonly problem: string };

/** Reads what `~standard.validate` answered. */
export function readValidation(result: unknown): Validated {
  if (!isRecord(result)) return { problem: "its schema gave no answer" };
  const { issues } = result;
  if (issues === undefined || issues === null) return { value: result["value"] };
  const found = (Array.isArray(issues) ? issues : [issues]) as readonly unknown[];
  const told = found.slice(0, MAX_ISSUES).map(issueText);
  if (found.length > told.length) told.push(`and ${found.length - told.length} more`);
  return { problem: cutText(told.join("; "), MAX_ERROR_BYTES) };
}

function issueText(issue: unknown): string {
  if (!isRecord(issue)) return "invalid";
  const path = Array.isArray(issue["path"])
    ? issue["path"].map((segment: unknown) => String(isRecord(segment) ? segment["key"] : segment)).join(".")
    : "";
  const message = wordsOf(issue["message"] ?? "invalid");
  return path === "" ? message : `${path}: ${message}`;
}
