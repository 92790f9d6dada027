import { AixgoError, isAixgoError, type Json, type Message, type Part, type Role, toMessage } from "@aixgo/core";
import { isWellFormed } from "@aixgo/security";
import { escapeHtml, isObject, timeOf } from "./go-format.ts";
import { type Notes, shown } from "./notes.ts";

/** What a program may know better than we do: the role of a message of a type that is its own. Undefined: decide as for any other. */
export type RoleOf = (message: { readonly type: string; readonly payload: string }) => Role | undefined;

/** Where a message keeps what the Go release said of it and a message of ours cannot. */
export const GO_METADATA = "goMessage";

/** What `data` of a Go entry holds of a message that says more than text. */
const CARRIED = "aixgo";

const ROLE_OF_TYPE: { readonly [type: string]: Role } = {
  user: "user",
  human: "user",
  assistant: "assistant",
  ai: "assistant",
  model: "assistant",
  system: "system",
};
const ASKS = /(?:^|[-_.])(?:request|query|question|input|prompt|task|ticket)$/i;
const ANSWERS = /(?:^|[-_.])(?:response|reply|result|answer|output|analysis|classification|aggregation|aggregated|plan|critique)$/i;

/** Whether a Go entry holds a message at all: of a nil message the Go release stores `{}`. */
export function holdsMessage(data: { readonly [key: string]: Json }): boolean {
  return typeof data["type"] === "string" || typeof data["payload"] === "string" || typeof data["id"] === "string";
}

/**
 * A Go message as one of ours, checked. The text is the `content` of a JSON payload, a JSON text, or else the payload as it is;
 * what would be lost by that (another type than a role's, the exact payload) goes into `metadata.goMessage`.
 */
export function fromGoMessage(
  data: { readonly [key: string]: Json },
  roleBefore: Role | undefined,
  roleOf: RoleOf | undefined,
  where: string,
  notes: Notes,
): { readonly role: Role; readonly json: string } {
  const carried = data[CARRIED];
  if (isObject(carried) && carried["parts"] !== undefined) {
    const draft = restored(carried, data, where, notes);
    if (draft !== undefined) return encode(draft);
  }
  const type = textIn(data, "type");
  const payload = textIn(data, "payload");
  const { text, form } = textOfPayload(payload);
  const role = carriedRole(carried) ?? givenRole(type, payload, roleOf) ?? roleOfType(type, roleBefore);
  const go: { [key: string]: Json } = {};
  if (type !== role) go["type"] = type;
  if (form === undefined) go["payload"] = payload;
  else if (form !== "content") go["form"] = form;
  const id = textIn(data, "id");
  if (id.length > 256) {
    notes.add(`${where}: its message's id is longer than 256 characters; it stands in metadata.${GO_METADATA}`);
    go["id"] = id;
  }
  const timestamp = textIn(data, "timestamp");
  if (timestamp !== "" && timeOf(timestamp) === undefined) go["timestamp"] = timestamp;
  const draft = {
    role,
    parts: [{ type: "text" as const, text }],
    ...(id === "" || id.length > 256 ? undefined : { id }),
    ...(timeOf(timestamp) === undefined ? undefined : { timestamp }),
  };
  const metadata = isObject(data["metadata"]) ? data["metadata"] : {};
  const isTaken = Object.hasOwn(metadata, GO_METADATA);
  const all = Object.keys(go).length === 0 && !isTaken ? metadata : { ...metadata, [GO_METADATA]: isTaken ? { ...go, metadata } : go };
  if (Object.keys(all).length === 0) return encode(draft);
  try {
    return encode({ ...draft, metadata: all });
  } catch (error) {
    if (!isAixgoError(error)) throw error;
    const text = jsonOf(metadata);
    const what = text === undefined ? "it is left out" : `it stands as text in metadata.${GO_METADATA}`;
    notes.add(`${where}: its metadata is refused (${error.message}); ${what}`);
    return encode({ ...draft, metadata: { [GO_METADATA]: { ...go, ...(text === undefined ? undefined : { metadataText: text }) } } });
  }
}

/**
 * A message of ours as the Go release stores it. What a payload cannot say goes into the member `aixgo`, which the Go release reads
 * over: the role, where the type does not tell it, and the parts, where they are more than one text.
 */
export function toGoMessage(message: Message): { readonly [key: string]: Json } {
  const { [GO_METADATA]: go, ...rest } = message.metadata ?? {};
  const { type, payload, form, id, timestamp, metadata } = isObject(go) ? go : ({} as { readonly [key: string]: Json | undefined });
  const plain = plainText(message.parts);
  const text = plain ?? textsOf(message.parts);
  const goType = typeof type === "string" ? type : message.role;
  const carried: { [key: string]: Json } = {};
  if (ROLE_OF_TYPE[goType.toLowerCase()] !== message.role) carried["role"] = message.role;
  if (plain === undefined) Object.assign(carried, { role: message.role, parts: message.parts });
  return {
    ...(Object.keys(carried).length === 0 ? undefined : { [CARRIED]: carried }),
    id: typeof id === "string" ? id : message.id,
    metadata: isObject(metadata) ? metadata : rest,
    payload: typeof payload === "string" ? payload : payloadOf(text, form),
    timestamp: typeof timestamp === "string" ? timestamp : message.timestamp,
    type: goType,
  };
}

const ATTACHMENT = "attachment:";

/**
 * The same message with a text in the place of each file that is kept beside the log: the Go release has no place for its content,
 * and an address without content would mean nothing.
 */
export function withoutAttachments(message: Message): { readonly message: Message; readonly left: number } {
  let left = 0;
  const map = (value: Json): Json => {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return value.map((item: Json) => map(item));
    const { type, url, mediaType, filename } = value as { readonly [key: string]: Json };
    if (type === "file" && typeof url === "string" && url.startsWith(ATTACHMENT)) {
      left += 1;
      const name = typeof filename === "string" ? filename : typeof mediaType === "string" ? mediaType : "";
      return { type: "text", text: `[file left out: ${name}]` };
    }
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, map(member)]));
  };
  const parts = map(message.parts as unknown as Json) as unknown as Message["parts"];
  return left === 0 ? { message, left } : { message: { ...message, parts }, left };
}

/** The same message with less text, for a reader that cannot take all of it. */
export function shortened(message: Message, length: number): Message {
  const text = plainText(message.parts) ?? textsOf(message.parts);
  const kept = Buffer.from(text.slice(0, length)).toString("utf8");
  const { [GO_METADATA]: go, ...rest } = message.metadata ?? {};
  const type = isObject(go) && typeof go["type"] === "string" ? go["type"] : undefined;
  return {
    ...message,
    parts: [{ type: "text", text: `${kept}… [shortened: ${text.length} characters]` }],
    metadata: { ...rest, aixgoShortened: text.length, ...(type === undefined ? undefined : { [GO_METADATA]: { type } }) },
  };
}

function payloadOf(text: string, form: Json | undefined): string {
  return form === "text" ? text : form === "string" ? goString(text) : contentJson(text);
}

/** Undefined: it is nested too deeply even for that. */
function jsonOf(value: Json): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function encode(draft: Parameters<typeof toMessage>[0]): { readonly role: Role; readonly json: string } {
  const checked = toMessage(draft, "user");
  const { role, parts, metadata, id, timestamp } = checked;
  // The order and the members of a stored message.
  return { role, json: JSON.stringify({ role, parts, metadata, id, timestamp }) };
}

/** A message that an export of ours carried whole. */
function restored(
  carried: { readonly [key: string]: Json },
  data: { readonly [key: string]: Json },
  where: string,
  notes: Notes,
): Parameters<typeof toMessage>[0] | undefined {
  const { id, timestamp, metadata } = data;
  const draft = {
    role: carried["role"],
    parts: carried["parts"],
    ...(isObject(metadata) && Object.keys(metadata).length > 0 ? { metadata } : undefined),
    ...(typeof id === "string" && id !== "" ? { id } : undefined),
    ...(timeOf(timestamp) === undefined ? undefined : { timestamp }),
  };
  try {
    toMessage(draft as unknown as Parameters<typeof toMessage>[0], "user");
    return draft as unknown as Parameters<typeof toMessage>[0];
  } catch (error) {
    if (!isAixgoError(error)) throw error;
    notes.add(`${where}: what an export carried beside the text is refused (${error.message}); the text is kept`);
    return undefined;
  }
}

function carriedRole(carried: Json | undefined): Role | undefined {
  const role = isObject(carried) ? carried["role"] : undefined;
  return role === "user" || role === "assistant" || role === "system" || role === "tool" ? role : undefined;
}

function givenRole(type: string, payload: string, roleOf: RoleOf | undefined): Role | undefined {
  const role = roleOf?.({ type, payload });
  if (role === undefined || role === "user" || role === "assistant" || role === "system") return role;
  throw new AixgoError(
    "INVALID_OPTION",
    `roleOf must answer "user", "assistant", "system" or undefined, not ${JSON.stringify(role)} (for a message of type ${shown(type)})`,
  );
}

/** Types are free in the Go release: names that it uses itself are known, others take turns. */
function roleOfType(type: string, roleBefore: Role | undefined): Role {
  const known = ROLE_OF_TYPE[type.toLowerCase()];
  if (known !== undefined) return known;
  if (ASKS.test(type)) return "user";
  if (ANSWERS.test(type)) return "assistant";
  return roleBefore === "user" ? "assistant" : "user";
}

/** The text that a payload holds, and how the payload is made from it; undefined: only by keeping it. */
function textOfPayload(payload: string): { readonly text: string; readonly form?: "content" | "string" | "text" } {
  const first = payload.trimStart()[0];
  if (first !== "{" && first !== '"') return { text: payload, form: "text" };
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return { text: payload, form: "text" };
  }
  if (typeof value === "string" && isWellFormed(value))
    return goString(value) === payload ? { text: value, form: "string" } : { text: value };
  const content = isObject(value) ? value["content"] : undefined;
  if (typeof content !== "string" || !isWellFormed(content)) return { text: payload, form: "text" };
  return contentJson(content) === payload ? { text: content, form: "content" } : { text: content };
}

function contentJson(text: string): string {
  return `{"content":${goString(text)}}`;
}

/** A text as encoding/json writes it. Go before 1.22 writes \b and \f as \u0008 and \u000c. */
function goString(text: string): string {
  return escapeHtml(JSON.stringify(text));
}

/** The text of a message that holds nothing else. */
function plainText(parts: readonly Part[]): string | undefined {
  const [part] = parts;
  return parts.length === 1 && part?.type === "text" && Object.keys(part).length === 2 ? part.text : undefined;
}

function textsOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}

function textIn(data: { readonly [key: string]: Json }, name: string): string {
  const value = data[name];
  return typeof value === "string" ? value : "";
}
