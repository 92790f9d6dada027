import type { LanguageModel } from "@aixgo/agents";
import { createScriptedModel, type ScriptedCall, type ScriptedStep } from "@aixgo/agents/testing";
import type { KillPoints } from "./kill-point.ts";

export const INPUT = "We are low on coffee. Order 5 kg and tell Ada by mail.";

const MAX_STEPS = 16;
const MAIL = { to: "ada@example.com", text: "5 kg of coffee are ordered." };

/**
 * Stands in for a language model: no network, no chance, but the same loop. It decides from the prompt alone, so a second
 * process that is given the same conversation goes on where the first one was killed.
 */
export function createModel(points: KillPoints, paceMs: number): LanguageModel {
  const step = (call: ScriptedCall): ScriptedStep => {
    points.pass("the model is asked");
    return { delayMs: paceMs, ...decide(resultsIn(call)) };
  };
  return createScriptedModel(Array.from({ length: MAX_STEPS }, () => step));
}

interface Result {
  readonly toolName: string;
  readonly value: { readonly sent?: boolean; readonly mails?: readonly unknown[] } | undefined;
}

function decide(results: readonly Result[]): ScriptedStep {
  const done = (toolName: string): Result | undefined =>
    results.findLast((result) => result.toolName === toolName && result.value !== undefined);
  const next = (toolName: string): string => `${toolName}-${results.filter((result) => result.toolName === toolName).length + 1}`;

  if (done("stock") === undefined || done("order") === undefined) {
    return {
      text: words("Let me look at the stock, and order."),
      toolCalls: [
        { toolName: "stock", toolCallId: next("stock"), input: { item: "coffee" } },
        { toolName: "order", toolCallId: next("order"), input: { item: "coffee", kg: 5 } },
      ],
    };
  }
  const last = results.at(-1);
  if (done("send_mail") !== undefined) return { text: words("Done: there were 0.4 kg left, 5 kg are on their way, and Ada has her mail.") };
  if (last?.toolName === "send_mail") {
    return {
      text: words("I was cut off while I sent the mail. Before I do anything twice, I look into the outbox."),
      toolCalls: [{ toolName: "outbox", toolCallId: next("outbox"), input: {} }],
    };
  }
  if (last?.toolName === "outbox" && (last.value?.mails?.length ?? 0) > 0) {
    return { text: words("Done: 5 kg are on their way, and the mail to Ada had already left, so I did not send it again.") };
  }
  return { text: words("Now I tell Ada."), toolCalls: [{ toolName: "send_mail", toolCallId: next("send_mail"), input: MAIL }] };
}

/** What the tools answered in this turn; without a value: it failed, or its outcome is unknown. */
function resultsIn({ prompt }: ScriptedCall): readonly Result[] {
  const results: Result[] = [];
  for (const { role, content } of prompt) {
    if (role !== "tool") continue;
    for (const { type, toolName, output } of content as readonly {
      type: string;
      toolName: string;
      output: { type: string; value: Result["value"] };
    }[]) {
      if (type === "tool-result") results.push({ toolName, value: output.type === "json" ? output.value : undefined });
    }
  }
  return results;
}

function words(text: string): readonly string[] {
  return text.match(/\s*\S+/g) ?? [];
}
