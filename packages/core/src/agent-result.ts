import type { Usage } from "./agent.ts";
import { invalid, isPlainObject, kindOf } from "./json.ts";

/**
 * What an agent returned, taken apart: the answer, not looked at yet, and what it cost.
 *
 * @throws AixgoError `INVALID_INPUT` for a usage that is none
 */
export function takeResult(result: unknown): { readonly message: unknown; readonly usage?: Usage } {
  if (!isPlainObject(result) || !("message" in result) || "parts" in result) return { message: result };
  const usage = usageOf(result["usage"]);
  return { message: result["message"], ...(usage === undefined ? undefined : { usage }) };
}

function usageOf(usage: unknown): Usage | undefined {
  if (usage === undefined) return undefined;
  if (!isPlainObject(usage)) throw invalid("usage", `is not an object but ${kindOf(usage)}`);
  const counts: { inputTokens?: number; outputTokens?: number } = {};
  for (const key of ["inputTokens", "outputTokens"] as const) {
    const value = usage[key];
    if (value === undefined) continue;
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw invalid(`usage.${key}`, "is not a number of at least 0");
    counts[key] = value;
  }
  return counts;
}
