import type { Json, MessageInput, ToolOutput } from "@aixgo/core";
import { shortened } from "./printable.ts";

const MAX_LINE = 100;

/** The calls and results in a message, each on one line. */
export function toolLines(message: MessageInput): readonly string[] {
  if (typeof message === "string") return [];
  return message.parts.flatMap((part) => {
    if (part.type === "tool-call") return [`⚙ ${callText(part.toolName, part.input)}`];
    if (part.type === "tool-result") return [`↳ ${shortened(outputText(part.output), MAX_LINE)}`];
    return [];
  });
}

/** A call with its input, on one line. */
export function callText(toolName: string, input: Json): string {
  return `${toolName} ${shortened(inputText(input), MAX_LINE)}`;
}

function inputText(input: Json): string {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return JSON.stringify(input);
  return Object.entries(input)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}

function outputText(output: ToolOutput): string {
  switch (output.type) {
    case "text":
      return output.value;
    case "error-text":
      return `failed: ${output.value.replace(/^The tool failed: /, "")}`;
    case "json":
      return JSON.stringify(output.value);
    case "error-json":
      return `failed: ${JSON.stringify(output.value)}`;
    case "content":
      return JSON.stringify(output.value);
    case "execution-denied":
      return `not allowed${output.reason === undefined ? "" : `: ${output.reason}`}`;
    case "interrupted":
      return `interrupted${output.reason === undefined ? "" : `: ${output.reason}`}`;
  }
}
