import type { AgentEvent } from "./agent.ts";
import { badOutput } from "./failure.ts";
import { type Invocation, type ShownEvent, track } from "./invocation.ts";
import { copyJson, invalid, isPlainObject, kindOf } from "./json.ts";
import { completeMessage, type Message, type MessageDraft, type MessageInput } from "./message.ts";
import { toMessage } from "./message-check.ts";
import type { OpenTurn } from "./session-host.ts";

type CheckedEvent = Exclude<ShownEvent, { readonly type: "message" }> | { readonly type: "message"; readonly draft: MessageDraft };

/** Takes in one event of the agent. Resolves when a message is stored, at once for the others. */
export function accept(call: Invocation, event: AgentEvent): Promise<void> | undefined {
  let shown: CheckedEvent;
  try {
    shown = checkedEvent(event);
  } catch (error) {
    throw badOutput(call.agentName, "emitted an invalid event", error);
  }
  if (shown.type !== "message") {
    call.show?.(shown);
    return undefined;
  }
  if (call.turn === undefined) {
    keep(call, event, completeMessage(shown.draft));
    return undefined;
  }
  const storing = storeStep(call, event, shown.draft);
  track(call, storing);
  return storing;
}

async function storeStep(call: Invocation, event: AgentEvent, draft: MessageDraft): Promise<void> {
  const { message, version } = await (call.turn as OpenTurn).append(draft);
  keep(call, event, message, version);
}

function keep(call: Invocation, event: AgentEvent, message: Message, version?: number): void {
  const { message: given } = event as { readonly message: MessageInput };
  if (typeof given === "object") (call.stored ??= new WeakMap()).set(given, message);
  if (call.turn === undefined) (call.steps ??= []).push(message);
  call.show?.({ type: "message", message }, version);
}

function checkedEvent(event: unknown): CheckedEvent {
  if (!isPlainObject(event)) throw invalid("event", `is ${kindOf(event)}, not an object with a type`);
  const { type } = event;
  switch (type) {
    case "text-delta":
    case "reasoning-delta":
      // Halves of a surrogate pair may come in two deltas: they are not checked as text of a message is.
      if (typeof event["text"] !== "string") throw invalid("event.text", `is not a string but ${kindOf(event["text"])}`);
      return { type, text: event["text"] };
    case "message":
      return { type, draft: toMessage(event["message"] as MessageInput, "assistant") };
    default:
      if (typeof type !== "string" || !type.startsWith("data-") || type.length === 5)
        throw invalid("event.type", "is not text-delta, reasoning-delta, message or data-…");
      return { type: type as `data-${string}`, data: copyJson(event["data"], "event.data", { values: 0 }) };
  }
}
