import type { Json, SuspendRequest } from "@aixgo/core";
import { shortened } from "./printable.ts";
import { callText } from "./tool-lines.ts";

const MAX_QUESTION = 200;

/** What the agent wants to do and may not do unasked, on one line. */
export function questionOf({ reason, data }: SuspendRequest): string {
  const call = approvalIn(data);
  return shortened(call === undefined ? reason : `May I run ${callText(call.toolName, call.input)}?`, MAX_QUESTION);
}

/** Whether a line says yes or no; undefined: neither. */
export function answerIn(line: string): boolean | undefined {
  const word = line.trim().toLowerCase();
  if (word === "y" || word === "yes") return true;
  return word === "n" || word === "no" ? false : undefined;
}

function approvalIn(data: Json | undefined): { readonly toolName: string; readonly input: Json } | undefined {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return undefined;
  const { toolName, input } = data as { readonly [key: string]: Json };
  return typeof toolName === "string" && input !== undefined ? { toolName, input } : undefined;
}
