import type { Json, MessageInput, ToolOutput } from "@aixgo/core";
import { shortened } from "./printable.ts";

const MAX_LINE = 100;

/** The calls and results in a message, each on one line. */
export function toolLines(message: MessageInput): readonly string[] {
  if (typeof message === "string") return [];
  return message.parts.flatMap((part) => {
    if (part.type === "tool-call") return [`⚙ ${part.toolName} ${shortened(inputText(part.input), MAX_LINE)}`];
    if (part.type === "tool-result") return [`↳ ${shortened(outputText(part.output), MAX_LINE)}`];
    return [];
  });
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
