import { AixgoError } from "@aixgo/core";
import { isWellFormed } from "@aixgo/security";
import type { Head, Lease, Position, Ref } from "@aixgo/session/backend";

/**
 * The value of a session's head key, one text that scripts compare by its first line and take apart only when they must:
 *
 *     <incarnation> <seq> <hash>
 *     <fence> [t<token> <expires at, ms> h<holder> c<cancel reason> | ->]
 *     <wrapped keys, base64>
 *     [head seq, fence of the log, bytes, messages, updated at, unsupported type]
 *     [agent, user, tenant, key, created at, metadata]
 *
 * Texts of callers are base64url, and the incarnation is percent-encoded: no part holds a space or a line end. Only the
 * second line changes without an append. A value that begins with `#` is a tombstone: `#<incarnation> <deleted at, ms>`.
 */
export interface StoredHead {
  /** The fold over the lines. */
  readonly fold: Head;
  /** Highest fence of any lease. */
  readonly fence: number;
  readonly lease?: Omit<Lease, "expiresInMs"> & { readonly expiresAt: number };
  readonly keys?: Uint8Array;
  /** The value of the key, as the server has it unless the lease has been renewed or cancelled since. */
  readonly packed: string;
  /** Its second, third and fifth line. */
  readonly lines: PackedLines;
}

export interface PackedLines {
  readonly lease: string;
  readonly keys: string;
  readonly constants: string;
}

export const TOMBSTONE = "#";
const NONE = "-";

/** The first line, its end included: what an append expects, and what it leaves. */
export function positionLine({ incarnation, seq, hash }: Position & Pick<Ref, "incarnation">): string {
  return `${incarnationText(incarnation)} ${seq} ${hash}\n`;
}

/** No life has the text that stands for one that cannot be. */
export function incarnationText(incarnation: string): string {
  return incarnation !== "" && isWellFormed(incarnation) ? encodeURIComponent(incarnation) : "%";
}

export function countersLine({ headSeq, fence, bytes, info, unsupported }: Head): string {
  return JSON.stringify([headSeq, fence, bytes, info.messageCount, info.updatedAt, unsupported ?? null]);
}

export function constantsLine({ info: { agentName, userId, tenantId, key, createdAt, metadata } }: Head): string {
  return JSON.stringify([agentName, userId ?? null, tenantId ?? null, key ?? null, createdAt, metadata]);
}

export function encodeText(text: string): string {
  return Buffer.from(text, "utf8").toString("base64url");
}

export function encodeKeys(keys: Uint8Array): string {
  return Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength).toString("base64");
}

export function pack(fold: Head, { lease, keys, constants }: PackedLines): string {
  return `${positionLine(fold)}${lease}\n${keys}\n${countersLine(fold)}\n${constants}`;
}

/** The head of a log that has never had a lease. */
export function fresh(fold: Head): StoredHead {
  const lines = { lease: "0", keys: "", constants: constantsLine(fold) };
  return { fold, fence: 0, packed: pack(fold, lines), lines };
}

/** Throws `ENTRY_CORRUPT`. */
export function unpackHead(id: string, bytes: Buffer): StoredHead {
  const packed = bytes.toString("utf8");
  const [position = "", lease = "", keys = "", counters = "", constants = ""] = packed.split("\n");
  try {
    const [incarnation, seq, hash] = position.split(" ") as [string, string, string];
    const [headSeq, fence, bytes, messageCount, updatedAt, unsupported] = JSON.parse(counters) as [
      number,
      number,
      number,
      number,
      string,
      string | null,
    ];
    const [agentName, userId, tenantId, key, createdAt, metadata] = JSON.parse(constants) as [
      string,
      string | null,
      string | null,
      string | null,
      string,
      Head["info"]["metadata"],
    ];
    const version = Number(seq);
    if (!Number.isSafeInteger(version) || hash === undefined) throw new TypeError("no position");
    return {
      fold: {
        id,
        incarnation: decodeURIComponent(incarnation),
        seq: version,
        hash,
        headSeq,
        fence,
        bytes,
        info: {
          id,
          agentName,
          ...(userId === null ? undefined : { userId }),
          ...(tenantId === null ? undefined : { tenantId }),
          ...(key === null ? undefined : { key }),
          version,
          messageCount,
          createdAt,
          updatedAt,
          metadata,
        },
        ...(unsupported === null ? undefined : { unsupported }),
      },
      packed,
      lines: { lease, keys, constants },
      ...unpackLease(lease),
      ...(keys === "" ? undefined : { keys: new Uint8Array(Buffer.from(keys, "base64")) }),
    };
  } catch (cause) {
    throw new AixgoError("ENTRY_CORRUPT", `the head of session ${id} cannot be read: its key holds something else`, {
      cause,
      details: { session: id },
    });
  }
}

/** The second line. */
export function unpackLease(line: string): Pick<StoredHead, "fence" | "lease"> {
  const [fence = "0", token, expiresAt, holder = "", cancel = NONE] = line.split(" ");
  if (token === undefined) return { fence: Number(fence) };
  return {
    fence: Number(fence),
    lease: {
      fence: Number(fence),
      token: decodeText(token),
      holder: decodeText(holder),
      expiresAt: Number(expiresAt),
      ...(cancel === NONE ? undefined : { cancelRequested: decodeText(cancel) }),
    },
  };
}

/** What callers see: the fold, and beside it what is the store's own. `now` is the server's clock in milliseconds. */
export function headOf({ fold, fence, lease, keys }: Omit<StoredHead, "packed" | "lines">, now: number): Head {
  // The usual case, and a copy costs.
  if (lease === undefined && keys === undefined && fence <= fold.fence) return fold;
  return {
    ...fold,
    fence: Math.max(fold.fence, fence),
    ...(lease === undefined
      ? undefined
      : {
          lease: {
            fence: lease.fence,
            holder: lease.holder,
            expiresInMs: lease.expiresAt - now,
            ...(lease.cancelRequested === undefined ? undefined : { cancelRequested: lease.cancelRequested }),
          },
        }),
    ...(keys === undefined ? undefined : { keys: keys.slice() }),
  };
}

function decodeText(marked: string): string {
  return Buffer.from(marked.slice(1), "base64url").toString("utf8");
}
