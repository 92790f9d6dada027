import { type Budget, checkedString, copyJson, copyMembers, invalid, isPlainObject, kindOf } from "./json.ts";
import type { Json, MessageDraft, MessageInput, Part, Role } from "./message.ts";

/** Longest id that a caller may give to a message, in UTF-16 units. */
const MAX_ID_LENGTH = 256;
const ROLES: ReadonlySet<unknown> = new Set<Role>(["system", "user", "assistant", "tool"]);
const MESSAGE_KEYS: ReadonlySet<string> = new Set(["id", "role", "parts", "timestamp", "metadata"]);
const ISO_8601 = /^[+-]?\d{4,6}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;
const FILE_URL = /^(?:data|https|attachment):/i;

/**
 * Checks what a caller or an agent handed over and copies it: the message shares nothing with `input` and holds nothing but JSON.
 *
 * A string becomes one text part of `role`. `id` and `timestamp` are there only if they were given. Parts must have a known shape or
 * a `data-…` type; members of a part beyond its shape are kept, so that what a provider added comes back.
 * @throws AixgoError `INVALID_INPUT`, naming the place: `message.parts[0].text is not a string but undefined`
 */
export function toMessage(input: MessageInput, role: Role): MessageDraft {
  if (typeof input === "string") return { role, parts: [{ type: "text", text: checkedString(input, "message") }] };
  const draft: unknown = input;
  if (!isPlainObject(draft)) throw invalid("message", `is ${kindOf(draft)}; it must be a string or an object with role and parts`);
  const unknown = Object.keys(draft).find((key) => !MESSAGE_KEYS.has(key) && draft[key] !== undefined);
  if (unknown !== undefined) throw invalid(`message.${unknown}`, "is not a member of messages; put what is your own into metadata");
  if (!ROLES.has(draft["role"])) throw invalid("message.role", "is not system, user, assistant or tool");
  if (!Array.isArray(draft["parts"])) throw invalid("message.parts", `is not an array but ${kindOf(draft["parts"])}`);
  const budget: Budget = { values: 0 };
  return {
    role: draft["role"] as Role,
    parts: copyParts(draft["parts"], "message.parts", budget, 1),
    ...(draft["id"] === undefined ? undefined : { id: checkedId(draft["id"]) }),
    ...(draft["timestamp"] === undefined ? undefined : { timestamp: checkedTime(draft["timestamp"]) }),
    ...(draft["metadata"] === undefined ? undefined : { metadata: copyObject(draft["metadata"], "message.metadata", budget) }),
  };
}

function copyParts(parts: readonly unknown[], path: string, budget: Budget, depth: number): readonly Part[] {
  const copy: Part[] = [];
  for (let index = 0; index < parts.length; index += 1) copy.push(copyPart(parts[index], `${path}[${index}]`, budget, depth));
  return copy;
}

function copyPart(part: unknown, path: string, budget: Budget, depth: number): Part {
  if (!isPlainObject(part)) throw invalid(path, `is ${kindOf(part)}, not a part`);
  // The copy is checked rather than the original: an accessor cannot answer twice differently.
  const copy = copyMembers(part, path, budget, depth);
  const { type } = copy;
  switch (type) {
    case "text":
    case "reasoning":
      checkedString(copy["text"], `${path}.text`);
      break;
    case "file":
      checkedName(copy["mediaType"], `${path}.mediaType`);
      if (!FILE_URL.test(checkedString(copy["url"], `${path}.url`)))
        throw invalid(`${path}.url`, "is not a data:, https: or attachment: address");
      if (copy["filename"] !== undefined) checkedString(copy["filename"], `${path}.filename`);
      break;
    case "tool-call":
      checkedName(copy["toolCallId"], `${path}.toolCallId`);
      checkedName(copy["toolName"], `${path}.toolName`);
      if (copy["input"] === undefined) throw invalid(`${path}.input`, "is missing");
      break;
    case "tool-result":
      checkedName(copy["toolCallId"], `${path}.toolCallId`);
      checkedName(copy["toolName"], `${path}.toolName`);
      checkOutput(copy["output"], `${path}.output`, budget, depth + 1);
      break;
    default:
      if (typeof type !== "string" || !type.startsWith("data-") || type.length === 5) {
        throw invalid(`${path}.type`, "is not text, reasoning, file, tool-call, tool-result or data-…");
      }
      if (copy["data"] === undefined) throw invalid(`${path}.data`, "is missing");
  }
  const carried = copy["providerOptions"];
  if (carried !== undefined && !isPlainObject(carried)) throw invalid(`${path}.providerOptions`, `is not an object but ${kindOf(carried)}`);
  return copy as unknown as Part;
}

function checkOutput(output: unknown, path: string, budget: Budget, depth: number): void {
  if (!isPlainObject(output)) throw invalid(path, `is not an object but ${kindOf(output)}`);
  switch (output["type"]) {
    case "text":
    case "error-text":
      checkedString(output["value"], `${path}.value`);
      return;
    case "json":
    case "error-json":
      if (output["value"] === undefined) throw invalid(`${path}.value`, "is missing");
      return;
    case "content":
      if (!Array.isArray(output["value"])) throw invalid(`${path}.value`, `is not an array but ${kindOf(output["value"])}`);
      copyParts(output["value"], `${path}.value`, budget, depth + 1);
      return;
    case "execution-denied":
    case "interrupted":
      if (output["reason"] !== undefined) checkedString(output["reason"], `${path}.reason`);
      return;
    default:
      throw invalid(`${path}.type`, "is not text, json, content, error-text, error-json, execution-denied or interrupted");
  }
}

/** A JSON object, copied. */
function copyObject(value: unknown, path: string, budget: Budget): { readonly [key: string]: Json } {
  if (!isPlainObject(value)) throw invalid(path, `is not an object but ${kindOf(value)}`);
  return copyJson(value, path, budget, 1) as { readonly [key: string]: Json };
}

function checkedName(value: unknown, path: string): string {
  const name = checkedString(value, path);
  if (name === "") throw invalid(path, "is empty");
  return name;
}

function checkedId(value: unknown): string {
  const id = checkedName(value, "message.id");
  if (id.length > MAX_ID_LENGTH) throw invalid("message.id", `is longer than ${MAX_ID_LENGTH} characters`);
  return id;
}

function checkedTime(value: unknown): string {
  const time = checkedString(value, "message.timestamp");
  if (!ISO_8601.test(time) || Number.isNaN(Date.parse(time))) throw invalid("message.timestamp", "is not an ISO 8601 time");
  return time;
}
