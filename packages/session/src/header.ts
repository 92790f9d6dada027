import { AixgoError, type Json } from "@aixgo/core";
import { assertSafeName, assertUserText, newEntryId, newSessionId } from "@aixgo/security";
import type { CreateRequest } from "./contract.ts";
import type { HeaderData } from "./entry.ts";
import { emptyTip, placeLine, type Placed } from "./line.ts";
import { encodeJson } from "./message-data.ts";
import { now } from "./writer.ts";

export interface CreateOptions {
  readonly userId?: string;
  /** Unique within (tenant, agent). Keys that begin with `user:` belong to `getOrCreate`. */
  readonly key?: string;
  /** If the key is taken: answer with the session that has it, or move the key to the new one. @default KEY_EXISTS is thrown */
  readonly onKey?: "get" | "take";
  readonly metadata?: { readonly [key: string]: Json };
  readonly signal?: AbortSignal;
}

/** What a new session begins with. */
export interface NewSession {
  readonly request: Omit<CreateRequest, "lines">;
  /** The header's line, for the id that the store settled on. */
  header(id: string): Placed;
}

export const MAX_METADATA_BYTES: number = 64 * 1024;
const USER_KEY = "user:";

/** The key of the session that `getOrCreate` makes for a user. */
export function userKey(userId: string): string {
  return USER_KEY + userId;
}

/** Checks a key that a caller chose. Throws `INVALID_INPUT`. */
export function assertOwnKey(key: string | undefined): void {
  if (key === undefined) return;
  assertUserText("session key", key);
  if (key.startsWith(USER_KEY))
    throw new AixgoError(
      "INVALID_INPUT",
      `keys that begin with "${USER_KEY}" belong to getOrCreate; choose another than ${JSON.stringify(key)}`,
    );
}

/** Checks all that a caller gave before anything is written. Throws `INVALID_INPUT`. */
export function newSession(
  agentName: string,
  options: CreateOptions & { readonly tenantId?: string; readonly origin?: HeaderData["origin"] },
): NewSession {
  assertSafeName("agent name", agentName);
  const { userId, tenantId, key, onKey, origin } = options;
  if (userId !== undefined) assertUserText("user id", userId);
  if (tenantId !== undefined) assertUserText("tenant id", tenantId);
  if (onKey !== undefined && onKey !== "get" && onKey !== "take")
    throw new AixgoError("INVALID_OPTION", `onKey must be "get" or "take", not ${JSON.stringify(onKey)}`);
  // A copy: the caller's object may change before the header is written.
  const metadata =
    options.metadata === undefined ? undefined : (JSON.parse(encodeMetadata(options.metadata)) as NonNullable<CreateOptions["metadata"]>);
  if (options.signal?.aborted === true)
    throw new AixgoError("CANCELLED", "the creation of a session was cancelled", { cause: options.signal.reason });
  const ref = { id: newSessionId(), incarnation: newEntryId() };
  const about = {
    agentName,
    ...(userId === undefined ? undefined : { userId }),
    ...(tenantId === undefined ? undefined : { tenantId }),
    ...(key === undefined ? undefined : { key }),
  };
  const time = now();
  const entryId = newEntryId();
  return {
    request: {
      ref,
      info: { id: ref.id, ...about, version: 0, messageCount: 0, createdAt: time, updatedAt: time, metadata: metadata ?? {} },
      ...(onKey === undefined ? undefined : { onKey }),
    },
    header(id) {
      const data: HeaderData = {
        id,
        incarnation: ref.incarnation,
        ...about,
        ...(metadata === undefined ? undefined : { metadata }),
        ...(origin === undefined ? undefined : { origin }),
      };
      return placeLine(emptyTip(ref.incarnation), { id: entryId, type: "session", data: JSON.stringify(data) }, 0, 1, time);
    },
  };
}

/** JSON text of a session's metadata. Throws `INVALID_INPUT` or `LIMIT_EXCEEDED`. */
export function encodeMetadata(metadata: unknown): string {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
    throw new AixgoError("INVALID_INPUT", "metadata must be an object");
  return encodeJson(metadata, "metadata", MAX_METADATA_BYTES);
}
