import { closeSync, constants, fstatSync, lstatSync } from "node:fs";
import { encodeSegment } from "@aixgo/security";
import type { Head, Lease } from "@aixgo/session/backend";
import { openPrivate, removeFile, writeAll } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { isDead, isOtherBoot, ownIdentity, sharedNowMs, type ProcessIdentity } from "./process-identity.ts";
import { decodeRecord, encodeRecord, readWhole } from "./record.ts";
import { isMissing } from "./fs-errors.ts";

/** The record outlives expiry and release, so that a fence is never used twice. */
export interface LeaseRecord {
  readonly incarnation: string;
  readonly fence: number;
  readonly token: string;
  readonly holder: string;
  /** By `sharedNowMs`. */
  readonly expiresAt: number;
  readonly process: ProcessIdentity;
  readonly released?: true;
  readonly cancelRequested?: string;
}

const MAX_REASON = 1_000;

/**
 * The lease record of one session, read and written through one kept descriptor.
 * A record is written by one call under the session's lock; `read` outside the lock may meet it half written, and then answers "torn".
 */
export class LeaseFile {
  readonly #path: string;
  #fd: number | undefined;
  /** The open file has its room. */
  #isPrepared = false;

  constructor(layout: Layout, id: string) {
    this.#path = pathOf(layout, id);
  }

  /** The record of this incarnation, unless a reboot voided it. */
  read(incarnation: string): LeaseRecord | "torn" | undefined {
    const fd = this.#open(false);
    if (fd === undefined) return undefined;
    const bytes = readWhole(fd);
    if (bytes.length === 0) return undefined;
    const record = decodeRecord(bytes) as LeaseRecord | undefined;
    if (record === undefined) return "torn";
    return record.incarnation === incarnation && !isOtherBoot(record.process) ? record : undefined;
  }

  /** Makes the file, so that writing the record later needs no new room on the disk. */
  prepare(): void {
    const fd = this.#open(true) as number;
    if (this.#isPrepared) return;
    if (fstatSync(fd).size === 0) writeAll(fd, Buffer.alloc(512, "\n"), 0);
    this.#isPrepared = true;
  }

  write(record: LeaseRecord): void {
    writeAll(this.#open(true) as number, encodeRecord(record), 0);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#isPrepared = false;
  }

  #open(create: boolean): number | undefined {
    // Deleting or rewriting the session removes the record; its descriptor goes with the log's, which the same call replaced.
    if (this.#fd !== undefined) return this.#fd;
    // Mostly there is none; looking costs a fraction of an exception.
    if (!create && lstatSync(this.#path, { throwIfNoEntry: false }) === undefined) return undefined;
    try {
      this.#fd = openPrivate(this.#path, constants.O_RDWR | (create ? constants.O_CREAT : 0));
    } catch (error) {
      if (!create && isMissing(error)) return undefined;
      throw error;
    }
    return this.#fd;
  }
}

/** With its session, or with its incarnation. */
export function removeLease(layout: Layout, id: string): void {
  removeFile(pathOf(layout, id));
}

function pathOf(layout: Layout, id: string): string {
  return layout.own("leases", encodeSegment(id));
}

/** Milliseconds that a lease still lives; zero for a holder that has died. */
export function remainingMs(record: LeaseRecord): number {
  const left = record.expiresAt - sharedNowMs();
  return left > 0 && isDead(record.process) ? 0 : left;
}

export function isLive(record: LeaseRecord | undefined): record is LeaseRecord {
  return record !== undefined && record.released === undefined && remainingMs(record) > 0;
}

export function holds(record: LeaseRecord | undefined, lease: Pick<Lease, "fence" | "token">): record is LeaseRecord {
  return record !== undefined && record.released === undefined && record.fence === lease.fence && record.token === lease.token;
}

export function taken(incarnation: string, acquire: { fence: number; token: string; holder: string; ttlMs: number }): LeaseRecord {
  const { fence, token, holder, ttlMs } = acquire;
  return { incarnation, fence, token, holder, expiresAt: sharedNowMs() + ttlMs, process: ownIdentity() };
}

export function prolonged(record: LeaseRecord, ttlMs: number): LeaseRecord {
  return { ...record, expiresAt: sharedNowMs() + ttlMs, process: ownIdentity() };
}

export function cancelled(record: LeaseRecord, reason: string): LeaseRecord {
  return { ...record, cancelRequested: reason.slice(0, MAX_REASON) };
}

export function shownLease(record: LeaseRecord): Omit<Lease, "token"> {
  const { fence, holder, cancelRequested } = record;
  return { fence, holder, expiresInMs: remainingMs(record), ...(cancelRequested === undefined ? {} : { cancelRequested }) };
}

/** A head as callers see it: the fold of the lines, the lease record beside it, the wrapped keys. */
export function completeHead(head: Head, record: LeaseRecord | undefined, keys: Uint8Array | undefined): Head {
  if (record === undefined && keys === undefined) return head;
  return {
    ...head,
    ...(record === undefined ? undefined : { fence: Math.max(head.fence, record.fence) }),
    ...(record === undefined || record.released === true ? undefined : { lease: shownLease(record) }),
    ...(keys === undefined ? undefined : { keys }),
  };
}
