import { AixgoError, isAixgoError, type Json, type Message, type MessageDraft, type Part, toMessage } from "@aixgo/core";
import { apply, type Difference, difference, isObject } from "./difference.ts";
import { foreignSegments } from "./foreign-message.ts";
import { type Form, type Item, itemOf, type Kind, partsOf } from "./item-parts.ts";

/** Our member of a message's metadata: which items its parts are. */
export const OWN = "openaiAgents";

interface Described {
  readonly kind: Kind;
  /** How many parts, behind those of the items before it. */
  readonly parts: number;
  readonly form?: Form;
  /** What the parts do not say. */
  readonly patch?: Difference;
}

/** An item of a stored message. */
export interface Segment {
  readonly item: Item;
  /** Index behind its last part. */
  readonly end: number;
}

/**
 * Items as messages: an assistant's output up to the next input is one message, so that calls that were made together are answered
 * together; everything else is a message of its own. Each comes back exactly as it was.
 *
 * @throws AixgoError `INVALID_INPUT` naming the item and the place, for what JSON cannot carry
 */
export function messagesOf(items: readonly unknown[], operation: string): MessageDraft[] {
  const drafts: { role: MessageDraft["role"]; parts: Part[]; described: Described[] }[] = [];
  items.forEach((given, index) => {
    const item = checkedItem(given, `${operation}: items[${index}]`);
    const { kind, role, form, parts } = partsOf(item);
    const patch = difference(itemOf(kind, form, parts), item);
    const described: Described = {
      kind,
      parts: parts.length,
      ...(form === undefined ? undefined : { form }),
      ...(patch === undefined ? undefined : { patch }),
    };
    const last = drafts.at(-1);
    if (role === "assistant" && last?.role === role) {
      last.parts.push(...parts);
      last.described.push(described);
    } else drafts.push({ role, parts: [...parts], described: [described] });
  });
  return drafts.map(({ role, parts, described }) => ({ role, parts, metadata: { [OWN]: { items: described } as unknown as Json } }));
}

/** The items of a message, those that other code wrote included. */
export function segmentsOf(message: Pick<Message, "role" | "parts" | "metadata">): readonly Segment[] {
  const described = describedIn(message);
  if (described === undefined) return foreignSegments(message);
  let end = 0;
  return described.map(({ kind, parts, form, patch }) => {
    const from = end;
    end += parts;
    return { item: apply(itemOf(kind, form, message.parts.slice(from, end)), patch) as Item, end };
  });
}

/** The message with its first `count` items. */
export function firstItems(message: Message, count: number): MessageDraft {
  const described = describedIn(message);
  const end = segmentsOf(message)[count - 1]?.end ?? 0;
  const { [OWN]: own, ...metadata } = message.metadata ?? {};
  const kept =
    described === undefined
      ? metadata
      : { ...metadata, [OWN]: { ...(own as object), items: described.slice(0, count) } as unknown as Json };
  return {
    role: message.role,
    parts: message.parts.slice(0, end),
    timestamp: message.timestamp,
    ...(Object.keys(kept).length === 0 ? undefined : { metadata: kept }),
  };
}

/** Undefined: the message is not of this package, or somebody has changed it. */
function describedIn({ parts, metadata }: Pick<Message, "parts" | "metadata">): readonly Described[] | undefined {
  const own = metadata?.[OWN];
  if (!isObject(own) || !Array.isArray(own["items"])) return undefined;
  const described = own["items"] as unknown as readonly Described[];
  return described.reduce((sum, each) => sum + each.parts, 0) === parts.length ? described : undefined;
}

/** An item, checked and copied. */
export function checkedItem(item: unknown, place: string): Item {
  if (typeof item !== "object" || item === null || Array.isArray(item)) throw new AixgoError("INVALID_INPUT", `${place} is not an object`);
  try {
    // The check that our messages go through: JSON only, copied.
    const [part] = toMessage({ role: "user", parts: [{ type: "data-item", data: item as Json }] }, "user").parts;
    return (part as { readonly data: Item }).data;
  } catch (error) {
    if (!isAixgoError(error, "INVALID_INPUT")) throw error;
    throw new AixgoError("INVALID_INPUT", error.message.replace("message.parts[0].data", place), { cause: error });
  }
}
