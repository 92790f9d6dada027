import { type FilePart, type Json, type Part, type Role, toMessage } from "@aixgo/core";
import { isObject } from "./difference.ts";

/** An item of the SDK, as JSON. */
export type Item = { readonly [key: string]: Json };

/** Which item a part or several stand for. `other`: one that our messages have no word for; it is kept whole. */
export type Kind = "user" | "system" | "assistant" | "reasoning" | "function_call" | "function_call_result" | "other";

/** How content is written that the SDK can write in several ways. Absent: as a list, or as the SDK itself does. */
export type Form = "string" | "single";

export interface ItemParts {
  readonly kind: Kind;
  readonly role: Role;
  readonly form?: Form;
  readonly parts: readonly Part[];
}

/** What our parts have no shape for, inside of a message and as an item of its own. */
const CONTENT = "data-openai-content";
const ITEM = "data-openai-item";
const BASE64_URL = /^data:([\w.+-]+\/[\w.+-]+);base64,([A-Za-z0-9+/]*={0,2})$/;

/** An item as parts of a message that other code can read, too. `itemOf` makes an item of them again, which may lack details. */
export function partsOf(item: Item): ItemParts {
  return messageParts(item) ?? callParts(item) ?? { kind: "other", role: roleOfOther(item), parts: [{ type: ITEM, data: item }] };
}

function messageParts({ type, role, content }: Item): ItemParts | undefined {
  if (type === "reasoning") {
    if (!isList(content) || !content.every(isInputText)) return undefined;
    return { kind: "reasoning", role: "assistant", parts: content.map(({ text }) => ({ type: "reasoning", text })) };
  }
  if (type !== undefined && type !== "message") return undefined;
  if (role === "user" && typeof content === "string") return { kind: role, role, form: "string", parts: [{ type: "text", text: content }] };
  if (role === "user" && isList(content)) return { kind: role, role, parts: content.map(inputPart) };
  if (role === "system" && typeof content === "string") return { kind: role, role, parts: [{ type: "text", text: content }] };
  if (role === "assistant" && isList(content)) return { kind: role, role, parts: content.map(outputPart) };
  return undefined;
}

function callParts({ type, callId, name, arguments: text, output }: Item): ItemParts | undefined {
  if (typeof callId !== "string" || callId === "" || typeof name !== "string" || name === "") return undefined;
  const named = { toolCallId: callId, toolName: name };
  if (type === "function_call" && typeof text === "string")
    return { kind: type, role: "assistant", parts: [{ type: "tool-call", ...named, input: parsed(text) }] };
  if (type !== "function_call_result") return undefined;
  const result = (value: string | readonly Part[], form?: Form): ItemParts => ({
    kind: type,
    role: "tool",
    ...(form === undefined ? undefined : { form }),
    parts: [{ type: "tool-result", ...named, output: typeof value === "string" ? { type: "text", value } : { type: "content", value } }],
  });
  if (typeof output === "string") return result(output, "string");
  if (isList(output)) return result(output.map(inputPart));
  if (!isObject(output)) return undefined;
  return output["type"] === "text" && typeof output["text"] === "string"
    ? result(output["text"])
    : result([{ type: CONTENT, data: output }], "single");
}

/** The item that these parts stand for. Of parts that other code wrote, it is the nearest that the SDK has. */
export function itemOf(kind: Kind, form: Form | undefined, parts: readonly Part[]): Item {
  const [first] = parts;
  switch (kind) {
    case "user":
      return { role: kind, content: form === "string" ? textIn(parts) : parts.flatMap(inputContent) };
    case "system":
      return { role: kind, content: textIn(parts) };
    case "assistant":
      return { type: "message", role: kind, status: "completed", content: parts.flatMap(outputContent) };
    case "reasoning":
      return { type: kind, content: parts.flatMap((part) => (part.type === "reasoning" ? [{ type: "input_text", text: part.text }] : [])) };
    case "function_call":
      if (first?.type !== "tool-call") return {};
      return { type: kind, callId: first.toolCallId, name: first.toolName, status: "completed", arguments: JSON.stringify(first.input) };
    case "function_call_result":
      if (first?.type !== "tool-result") return {};
      return { type: kind, callId: first.toolCallId, name: first.toolName, status: "completed", output: outputOf(first.output, form) };
    default:
      return first?.type === ITEM && isObject(first.data) ? first.data : {};
  }
}

function outputOf(output: Extract<Part, { type: "tool-result" }>["output"], form: Form | undefined): Json {
  const text = (value: string): Json => (form === "string" ? value : { type: "text", text: value });
  switch (output.type) {
    case "text":
    case "error-text":
      return text(output.value);
    case "json":
    case "error-json":
      return text(JSON.stringify(output.value));
    case "content": {
      const content = output.value.flatMap(inputContent);
      return form === "single" ? (content[0] ?? null) : content;
    }
    case "execution-denied":
      return text(`The call was denied${output.reason === undefined ? "" : `: ${output.reason}`}`);
    default:
      return text(`The call was interrupted${output.reason === undefined ? "" : `: ${output.reason}`}`);
  }
}

function inputPart(content: Json): Part {
  if (isInputText(content)) return { type: "text", text: content.text };
  if (isObject(content)) {
    const { type, image, file, filename } = content;
    const part =
      type === "input_image" ? filePart(image, "image/*") : type === "input_file" ? filePart(file, "application/octet-stream") : undefined;
    // Only what comes back as the same kind of content.
    if (part !== undefined && part.mediaType.startsWith("image/") === (type === "input_image"))
      return typeof filename === "string" && type === "input_file" ? { ...part, filename } : part;
  }
  return { type: CONTENT, data: content };
}

function inputContent(part: Part): readonly Json[] {
  if (part.type === "text") return [{ type: "input_text", text: part.text }];
  if (part.type === CONTENT) return [part.data];
  if (part.type !== "file") return [];
  if (part.mediaType.startsWith("image/")) return [{ type: "input_image", image: part.url }];
  return [{ type: "input_file", file: part.url, ...(part.filename === undefined ? undefined : { filename: part.filename }) }];
}

function outputPart(content: Json): Part {
  return isObject(content) && content["type"] === "output_text" && typeof content["text"] === "string"
    ? { type: "text", text: content["text"] }
    : { type: CONTENT, data: content };
}

function outputContent(part: Part): readonly Json[] {
  if (part.type === "text") return [{ type: "output_text", text: part.text }];
  if (part.type === CONTENT) return [part.data];
  return part.type === "file" && part.mediaType.startsWith("image/") ? [{ type: "image", image: part.url }] : [];
}

/** Undefined: an address that would not come back as it is, or that our messages do not hold. */
function filePart(address: Json | undefined, mediaType: string): FilePart | undefined {
  if (typeof address !== "string") return undefined;
  if (/^https:\/\//i.test(address)) return { type: "file", mediaType, url: address };
  const [, type, base64] = BASE64_URL.exec(address) ?? [];
  if (type === undefined || base64 === undefined || Buffer.from(base64, "base64").toString("base64") !== base64) return undefined;
  return { type: "file", mediaType: type, url: address };
}

function roleOfOther({ type }: Item): Role {
  return typeof type === "string" && /_(?:result|output)$/.test(type) ? "tool" : "assistant";
}

/** What a call is given; as the text that it was where that is no JSON, or more than a message takes. */
function parsed(text: string): Json {
  try {
    const value = JSON.parse(text) as Json;
    toMessage({ role: "user", parts: [{ type: ITEM, data: value }] }, "user");
    return value;
  } catch {
    return text;
  }
}

function textIn(parts: readonly Part[]): string {
  return parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}

function isInputText(content: Json): content is { readonly type: "input_text"; readonly text: string } {
  return isObject(content) && content["type"] === "input_text" && typeof content["text"] === "string";
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
