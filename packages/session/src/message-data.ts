import { hash } from "node:crypto";
import { AixgoError, type Json, type Message, type MessageDraft, type MessageInput, type Role, toMessage } from "@aixgo/core";
import { assertJson, freezeJson } from "@aixgo/security";
import { canonicalJson } from "./canonical-json.ts";
import type { Entry } from "./entry.ts";
import { moveOut, type Outgoing } from "./outbox.ts";

/** A message as its entry stores it: id and time only if the caller gave them; the entry has its own. */
export interface MessageData {
  readonly role: Role;
  readonly parts: Message["parts"];
  readonly metadata?: Message["metadata"];
  readonly id?: string;
  readonly timestamp?: string;
}

/** Objects of every append and every read are filled by assignment: an optional member that is spread costs as much as all others. */
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Deeper than any honest message, far below what breaks `JSON.stringify`. */
const MAX_DEPTH = 200;

export interface EncodedMessage {
  /** What is stored. */
  readonly json: string;
  /** The same, shared with nobody. */
  readonly data: MessageData;
  /** The id that the caller gave. */
  readonly id?: string;
  /** Attachments that it names: to be stored before it is. */
  readonly outgoing: readonly Outgoing[];
  /** Digest of role, parts and metadata, the order of members ignored: what "the same input" means. */
  digest(): string;
}

/** What a message may be. */
export interface MessageLimits {
  /** As JSON, without what is kept beside the log. */
  readonly maxBytes: number;
  /** Of one attachment; undefined: the store has none, and everything stays in the message. */
  readonly maxBlobBytes: number | undefined;
}

const NONE: readonly Outgoing[] = [];

/**
 * Checks a message and turns it into what is stored. Throws `INVALID_INPUT` (names the place) or `LIMIT_EXCEEDED`;
 * nothing has been written then.
 */
export function encodeMessage(input: MessageInput, role: Role, { maxBytes, maxBlobBytes }: MessageLimits): EncodedMessage {
  // Checked and copied: JSON only, well-formed, not too deep.
  const draft: MessageDraft = toMessage(input, role);
  const outbox = maxBlobBytes === undefined ? undefined : moveOut(draft.parts, maxBlobBytes);
  const data: Mutable<MessageData> = { role: draft.role, parts: outbox?.parts ?? draft.parts };
  if (draft.metadata !== undefined) data.metadata = draft.metadata;
  if (draft.id !== undefined) data.id = draft.id;
  if (draft.timestamp !== undefined) data.timestamp = draft.timestamp;
  const json = JSON.stringify(data);
  assertBytes(json, maxBytes, "message");
  return {
    json,
    data,
    outgoing: outbox?.outgoing ?? NONE,
    ...(draft.id === undefined ? undefined : { id: draft.id }),
    digest: () =>
      hash(
        "sha256",
        canonicalJson({ role: data.role, parts: data.parts, metadata: data.metadata ?? null } as unknown as Json),
        "base64url",
      ),
  };
}

/** JSON text of a value that is stored as it is. */
export function encodeJson(value: unknown, what: string, maxBytes: number): string {
  assertJson(value, { maxBytes, maxDepth: MAX_DEPTH }, what);
  const json = JSON.stringify(value);
  assertBytes(json, maxBytes, what);
  return json;
}

function assertBytes(json: string, maxBytes: number, what: string): void {
  // A UTF-16 unit is at most 3 bytes of UTF-8: short texts need not be counted.
  if (json.length * 3 <= maxBytes) return;
  const bytes = Buffer.byteLength(json);
  if (bytes > maxBytes) {
    throw new AixgoError(
      "LIMIT_EXCEEDED",
      `the ${what} has ${bytes} bytes, the limit is ${maxBytes}. Store large content elsewhere and refer to it by a file part`,
      {
        details: { bytes, maxBytes },
      },
    );
  }
}

/** The message of a `message` entry, frozen. */
export function decodeMessage(entry: Pick<Entry, "id" | "timestamp" | "data">): Message {
  return messageOf(entry.data as unknown as MessageData, entry.id, entry.timestamp);
}

/** The message that was just stored, frozen, without reading it back. */
export function messageOf(data: MessageData, entryId: string, timestamp: string): Message {
  const message: Mutable<Message> = {
    id: data.id ?? entryId,
    role: data.role,
    parts: data.parts,
    timestamp: data.timestamp ?? timestamp,
  };
  if (data.metadata !== undefined) message.metadata = data.metadata;
  return freezeJson(message as unknown as Json) as unknown as Message;
}
