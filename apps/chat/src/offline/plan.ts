import { ANSWER } from "./arithmetic.ts";
import type { Intent } from "./intents.ts";
import { callKey, numberIn, type Outcome, type Transcript } from "./transcript.ts";

export interface Call {
  readonly toolName: string;
  readonly input: { readonly [key: string]: unknown };
}

/** An intent with the call that it needs, if any, and what came of it. */
export interface Step {
  readonly intent: Intent;
  readonly call?: Call;
  readonly outcome?: Outcome;
  /** Why no call can be made. */
  readonly obstacle?: string;
}

export interface Plan {
  readonly steps: readonly Step[];
  /** Calls that can be made now. Empty: everything is known that can be. */
  readonly due: readonly Call[];
}

/** What has to be asked of the tools next, given what they answered already. */
export function planOf(intents: readonly Intent[], transcript: Transcript, tools: ReadonlySet<string>): Plan {
  const due = new Map<string, Call>();
  const steps: Step[] = [];
  // The result that "then divided by 5" goes on from; "waiting" until the call before it is answered.
  let number: number | "waiting" | undefined = transcript.lastNumber;

  for (const intent of intents) {
    if (intent.kind === "arithmetic" && intent.expression.includes(ANSWER) && typeof number !== "number") {
      steps.push({ intent, obstacle: number === "waiting" ? "the result before it is missing" : "there is no result to go on from" });
      continue;
    }
    const call = callFor(intent, number);
    if (call === undefined) {
      steps.push({ intent });
      continue;
    }
    if (!tools.has(call.toolName)) {
      steps.push({ intent, call, obstacle: `the tool ${call.toolName} is not at hand` });
      continue;
    }
    const key = callKey(call.toolName, call.input);
    const outcome = transcript.outcomes.get(key);
    if (outcome === undefined) due.set(key, call);
    steps.push({ intent, call, ...(outcome === undefined ? undefined : { outcome }) });
    if (intent.kind === "arithmetic") number = outcome?.ok === true ? (numberIn(outcome.value) ?? "waiting") : "waiting";
  }
  return { steps, due: [...due.values()] };
}

function callFor(intent: Intent, number: number | "waiting" | undefined): Call | undefined {
  switch (intent.kind) {
    case "arithmetic": {
      const before = typeof number === "number" ? (number < 0 ? `(${number})` : String(number)) : ANSWER;
      return { toolName: "calculator", input: { expression: intent.expression.replaceAll(ANSWER, before) } };
    }
    case "time":
      return { toolName: "clock", input: intent.timeZone === undefined ? {} : { timeZone: intent.timeZone } };
    case "notes":
      return { toolName: "notes", input: intent.input };
    case "search":
      return { toolName: "search", input: { query: intent.query } };
    default:
      return undefined;
  }
}
