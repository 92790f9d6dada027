import type { LanguageModel } from "@aixgo/agents";
import { createScriptedModel, type ScriptedCall, type ScriptedStep } from "@aixgo/agents/testing";

const NUMBERS: Readonly<Record<string, number>> = { two: 2, three: 3, four: 4, five: 5, six: 6 };
const MAX_STEPS = 32;

/**
 * Stands in for a language model. It knows only its prompt: for how many people to cook, it finds in what was said before,
 * which is why the agent needs its history.
 */
export function createCook(): LanguageModel {
  return createScriptedModel(Array.from({ length: MAX_STEPS }, () => nextStep));
}

function nextStep({ prompt }: ScriptedCall): ScriptedStep {
  const at = prompt.findLastIndex(({ role }) => role === "user");
  const input = textOf(prompt[at]?.content);
  const said = prompt.filter(({ role }) => role === "user").map(({ content }) => textOf(content));
  const people = said.map(peopleIn).findLast((count) => count !== undefined);
  const results = prompt.slice(at + 1).flatMap(({ role, content }) => (role === "tool" ? (content as readonly Result[]) : []));
  const answered = (tool: string): Result["output"]["value"] | undefined => results.find(({ toolName }) => toolName === tool)?.output.value;

  if (/list/i.test(input)) {
    const list = answered("shopping_list");
    if (list !== undefined) return { text: `On your list now: ${list.items?.join(", ") ?? "nothing"}.` };
    const grams = (people ?? 1) * 60;
    return { toolCalls: [{ toolName: "shopping_list", toolCallId: `list-${at}`, input: { add: `${grams} g of flour` } }] };
  }
  if (people === undefined) return { text: "For how many people?" };
  const recipe = answered("recipe");
  if (recipe !== undefined) return { text: `For ${people} people you need ${recipe.flour} g of flour and ${recipe.eggs} eggs.` };
  return {
    text: "Let me look it up.",
    toolCalls: [{ toolName: "recipe", toolCallId: `recipe-${at}`, input: { dish: "pancakes", people } }],
  };
}

interface Result {
  readonly toolName: string;
  readonly output: { readonly value: { readonly flour?: number; readonly eggs?: number; readonly items?: readonly string[] } };
}

function peopleIn(text: string): number | undefined {
  const word = /\b(two|three|four|five|six)\b/i.exec(text)?.[1];
  return word === undefined ? undefined : NUMBERS[word.toLowerCase()];
}

function textOf(content: string | readonly { readonly type: string; readonly text?: string }[] | undefined): string {
  if (typeof content === "string") return content;
  return (content ?? []).map(({ type, text }) => (type === "text" ? (text ?? "") : "")).join("");
}
