import assert from "node:assert/strict";
import type { BlobStore, SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";

/** For cases about an optional member of the contract. */
export function needsOffer(member: "watch" | "blobs"): (fixture: Fixture) => string | undefined {
  return ({ offers }) => (offers?.includes(member) === true ? undefined : `the fixture does not offer ${member}`);
}

export function needsModule({ module }: Fixture): string | undefined {
  return module === undefined ? "the fixture names no module that child processes could import" : undefined;
}

/** For cases that need a way into the store which only the fixture knows. */
export function needsMember(member: "openExpiring" | "remains" | "failover"): (fixture: Fixture) => string | undefined {
  return (fixture) => (fixture[member] === undefined ? `the fixture has no ${member}` : undefined);
}

export function blobsOf({ blobs }: SessionBackend): BlobStore {
  assert.ok(blobs !== undefined, "the backend has no blobs");
  return blobs;
}

export function watchOf(backend: SessionBackend): NonNullable<SessionBackend["watch"]> {
  assert.ok(backend.watch !== undefined, "the backend has no watch");
  return backend.watch.bind(backend);
}
