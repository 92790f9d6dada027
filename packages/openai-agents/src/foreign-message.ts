import type { Message, Part } from "@aixgo/core";
import { type Item, itemOf, type Kind } from "./item-parts.ts";

/** The items of a message that another framework or agent wrote: the nearest that the SDK has. Data parts are not among them. */
export function foreignSegments({
  role,
  parts,
}: Pick<Message, "role" | "parts">): readonly { readonly item: Item; readonly end: number }[] {
  const found: { item: Item; end: number }[] = [];
  let run: { readonly kind: Kind; readonly parts: Part[]; end: number } | undefined;
  const finish = (): void => {
    if (run === undefined) return;
    const item = itemOf(run.kind, undefined, run.parts);
    const { content } = item;
    const isEmpty = content === "" || (Array.isArray(content) && content.length === 0);
    if (!isEmpty) found.push({ item, end: run.end });
  };
  parts.forEach((part, index) => {
    const kind = role === "user" || role === "system" ? role : kindOf(part);
    if (kind === undefined) return;
    // Texts and files that stand together are one message; everything else is an item of its own.
    if (run?.kind === kind && (kind === "user" || kind === "system" || kind === "assistant")) {
      run.parts.push(part);
      run.end = index + 1;
      return;
    }
    finish();
    run = { kind, parts: [part], end: index + 1 };
  });
  finish();
  return found;
}

function kindOf(part: Part): Kind | undefined {
  switch (part.type) {
    case "text":
    case "file":
      return "assistant";
    case "reasoning":
      return "reasoning";
    case "tool-call":
      return "function_call";
    case "tool-result":
      return "function_call_result";
    default:
      return undefined;
  }
}
