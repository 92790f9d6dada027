import { AixgoError, type Json, type Message, type MessageDraft, type ProviderCarry, toMessage } from "@aixgo/core";
import { isRecord, toJson } from "./json.ts";
import { OWN } from "./ui-message.ts";

/** A foreign object whose members are still to be looked at. */
export type Foreign = { readonly [key: string]: unknown };

/** Names a part of a foreign message in errors: `fromUIMessages: messages[2].parts[0]`. */
export interface Place {
  readonly text: string;
}

export function refused({ text }: Place, problem: string, cause?: unknown): AixgoError {
  return new AixgoError("INVALID_INPUT", `${text} ${problem}`, cause === undefined ? {} : { cause });
}

export function inside({ text }: Place, member: string): Place {
  return { text: `${text}${member}` };
}

export function foreign(value: unknown, place: Place): Foreign {
  if (!isRecord(value)) throw refused(place, "is not an object");
  return value;
}

export function list(value: unknown, place: Place): readonly unknown[] {
  if (!Array.isArray(value)) throw refused(place, "is not a list");
  return value;
}

export function name(value: unknown, place: Place): string {
  if (typeof value !== "string" || value === "") throw refused(place, "is not a text, or is empty");
  return value;
}

export function string(value: unknown, place: Place): string {
  if (typeof value !== "string") throw refused(place, "is not a text");
  return value;
}

export function json(value: unknown, place: Place): Json {
  try {
    return toJson(value);
  } catch (cause) {
    throw refused(place, `is not JSON: it ${(cause as Error).message}`, cause);
  }
}

/** Provider data of a foreign part, with what is our own beside it. */
export function carry(metadata: unknown, place: Place, own: { readonly [key: string]: Json } = {}): ProviderCarry {
  const given = metadata === undefined || metadata === null ? {} : json(metadata, place);
  if (!isRecord(given)) throw refused(place, "is not an object");
  const before = given[OWN];
  const merged = { ...(isRecord(before) ? before : undefined), ...own };
  const { [OWN]: _own, ...others } = given;
  const all = Object.keys(merged).length === 0 ? others : { ...others, [OWN]: merged };
  return Object.keys(all).length === 0 ? {} : { providerOptions: all };
}

const FILE_URL = /^(?:data|https|attachment):/i;

/** A file's address as our messages hold it. */
export function fileUrl(url: unknown, place: Place): string {
  const text = url instanceof URL ? url.href : name(url, place);
  if (FILE_URL.test(text)) return text;
  const scheme = /^[a-z][a-z0-9+.-]{0,31}:/i.exec(text)?.[0];
  throw refused(
    place,
    `must be a data:, https: or attachment: address${scheme === undefined ? "" : `, not ${scheme}`}; upload the file, or send it as data:`,
  );
}

/** Messages of ours, from callers who may have others in their hands. */
export function ownMessages<M extends Pick<Message, "role" | "parts">>(messages: readonly M[], of: string): readonly M[] {
  const place = { text: `${of}: messages` };
  list(messages, place).forEach((message, index) => {
    const at = inside(place, `[${index}]`);
    const { role, parts } = foreign(message, at);
    name(role, inside(at, ".role"));
    const within = inside(at, ".parts");
    list(parts, within).forEach((part, number) => {
      const here = inside(within, `[${number}]`);
      name(foreign(part, here)["type"], inside(here, ".type"));
    });
  });
  return messages;
}

/** The last check: what a message must be to be stored. */
export function checked(draft: MessageDraft, place: Place): MessageDraft {
  try {
    return toMessage(draft, draft.role);
  } catch (cause) {
    throw refused(place, `cannot be a message: ${(cause as Error).message}`, cause);
  }
}
