import { createHash } from "node:crypto";
import type { Json } from "@aixgo/core";
import { isWellFormed } from "@aixgo/security";
import { canonicalJson, type SessionInfo } from "@aixgo/session/backend";

/** Longer texts stand in a key by their digest. */
const MAX_READABLE = 200;

/** All keys of a session: its id is the hash tag, so that a Cluster has them in one slot and a script may change them together. */
export interface SessionKeys {
  readonly head: string;
  readonly lines: string;
  readonly marks: string;
  readonly blobs: string;
}

/** A set of sessions that `list` can walk: two sorted sets of one slot. */
export interface Scope {
  /** Session ids by the time of the last update, in milliseconds. */
  readonly updated: string;
  /** The same ids, all with one score: in the order of their bytes. */
  readonly ids: string;
  holds(info: SessionInfo): boolean;
}

export interface Keys {
  session(id: string): SessionKeys;
  /** Where a long history is gathered before it becomes a log at once. */
  staging(id: string, attempt: string): Pick<SessionKeys, "lines" | "marks">;
  /** The chunks of one attachment. */
  blob(id: string, digest: string): string;
  /** Chunks of an attachment on their way. */
  stagedBlob(id: string, attempt: string): string;
  /** The record of a unique key; undefined for a session without one. */
  record(info: Pick<SessionInfo, "agentName" | "tenantId" | "key">): string | undefined;
  /** Every scope that a session is in. */
  scopes(info: SessionInfo): readonly Scope[];
  readonly all: Scope;
  agent(name: string): Scope;
  tenant(id: string): Scope;
  user(id: string): Scope;
  metadata(key: string, value: Json): Scope;
}

export function createKeys(prefix: string, indexedMetadata: readonly string[]): Keys {
  const scope = (name: string, holds: Scope["holds"]): Scope => ({
    updated: `${prefix}list:{${name}}:updated`,
    ids: `${prefix}list:{${name}}:id`,
    holds,
  });
  const keys: Keys = {
    session: (id) => ({
      head: `${prefix}{${id}}:head`,
      lines: `${prefix}{${id}}:lines`,
      marks: `${prefix}{${id}}:marks`,
      blobs: `${prefix}{${id}}:blobs`,
    }),
    blob: (id, digest) => `${prefix}{${id}}:blobs:${digest}`,
    stagedBlob: (id, attempt) => `${prefix}{${id}}:staging:${attempt}:blob`,
    staging: (id, attempt) => ({ lines: `${prefix}{${id}}:staging:${attempt}:lines`, marks: `${prefix}{${id}}:staging:${attempt}:marks` }),
    record: ({ tenantId, agentName, key }) =>
      key === undefined ? undefined : `${prefix}key:{${digest(JSON.stringify([tenantId ?? null, agentName, key]))}}`,
    scopes: (info) => [
      keys.all,
      keys.agent(info.agentName),
      ...(info.tenantId === undefined ? [] : [keys.tenant(info.tenantId)]),
      ...(info.userId === undefined ? [] : [keys.user(info.userId)]),
      ...indexedMetadata.flatMap((key) => (Object.hasOwn(info.metadata, key) ? [keys.metadata(key, info.metadata[key] as Json)] : [])),
    ],
    all: scope("all", () => true),
    agent: (name) => scope(`agent:${readable(name)}`, (info) => info.agentName === name),
    tenant: (id) => scope(`tenant:${readable(id)}`, (info) => info.tenantId === id),
    user: (id) => scope(`user:${readable(id)}`, (info) => info.userId === id),
    metadata: (key, value) => {
      const text = canonicalJson(value);
      return scope(
        `metadata:${readable(key)}:${digest(text)}`,
        ({ metadata }) => Object.hasOwn(metadata, key) && canonicalJson(metadata[key] as Json) === text,
      );
    },
  };
  return keys;
}

/** No braces, no spaces: the text can stand in a hash tag, and an operator can read it. */
function readable(text: string): string {
  const safe = isWellFormed(text) ? encodeURIComponent(text) : undefined;
  return safe !== undefined && safe.length <= MAX_READABLE ? safe : `~${digest(text)}`;
}

function digest(text: string): string {
  return createHash("sha256")
    .update(isWellFormed(text) ? text : JSON.stringify(text))
    .digest("base64url");
}
