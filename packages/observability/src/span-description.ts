import { type Json, SPAN } from "@aixgo/core";
import { type Attributes, SpanKind } from "@opentelemetry/api";
import { ATTRIBUTE, OPERATION, OWN, providerName } from "./conventions.ts";

export type SpanSort = "call" | "model" | "tool" | "turn" | "other";

export interface SpanDescription {
  readonly title: string;
  readonly kind: SpanKind;
  readonly sort: SpanSort;
  readonly facts: Attributes;
}

/** Ids of tool calls come from models: longer ones are cut, in UTF-16 units. */
const MAX_TEXT = 1024;

type Facts = Readonly<Record<string, Json>>;

/** How the conventions call what the runtime calls so. */
const NAMES: Readonly<Record<string, string>> = {
  agent: ATTRIBUTE.agentName,
  session: ATTRIBUTE.conversationId,
  model: ATTRIBUTE.requestModel,
  tool: ATTRIBUTE.toolName,
  toolCallId: ATTRIBUTE.toolCallId,
  inputTokens: ATTRIBUTE.inputTokens,
  outputTokens: ATTRIBUTE.outputTokens,
  kind: OWN.callKind,
  turn: OWN.turnId,
  step: OWN.turnStep,
  attempt: OWN.turnAttempt,
  replayed: OWN.turnReplayed,
};

/** The span of the runtime's `name` as the conventions want it; any other as it is. */
export function describeSpan(name: string, attributes: Facts): SpanDescription {
  const facts = factsOf(attributes);
  const described = (sort: SpanSort, kind: SpanKind, operation: string, of: Json | undefined, more?: Attributes): SpanDescription => ({
    title: of === undefined ? operation : `${operation} ${plain(of)}`,
    kind,
    sort,
    facts: { ...facts, ...more },
  });
  switch (name) {
    case SPAN.call:
      return described("call", SpanKind.INTERNAL, OPERATION.invokeAgent, attributes["agent"], {
        [ATTRIBUTE.operationName]: OPERATION.invokeAgent,
      });
    case SPAN.model:
      return described("model", SpanKind.CLIENT, OPERATION.chat, attributes["model"], { [ATTRIBUTE.operationName]: OPERATION.chat });
    case SPAN.tool:
      return described("tool", SpanKind.INTERNAL, OPERATION.executeTool, attributes["tool"], {
        [ATTRIBUTE.operationName]: OPERATION.executeTool,
        [ATTRIBUTE.toolType]: "function",
      });
    case SPAN.turn:
      return described("turn", SpanKind.INTERNAL, SPAN.turn, attributes["step"]);
    default:
      return { title: name, kind: SpanKind.INTERNAL, sort: "other", facts };
  }
}

/** Attributes by the names of the conventions; what they do not know keeps its name, and what is no plain value becomes JSON. */
export function factsOf(attributes: Facts): Attributes {
  const facts: Attributes = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "provider") facts[ATTRIBUTE.providerName] = providerName(plain(value));
    else if (name === "finishReason") facts[ATTRIBUTE.finishReasons] = [plain(value)];
    else facts[NAMES[name] ?? name] = typeof value === "object" || typeof value === "string" ? plain(value) : value;
  }
  return facts;
}

function plain(value: Json): string {
  return (typeof value === "string" ? value : JSON.stringify(value)).slice(0, MAX_TEXT);
}
