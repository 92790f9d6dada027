import type { Head } from "./contract.ts";
import { type Envelope, type HeaderData, isUnderstood } from "./entry.ts";
import { corrupt, dataOf, envelopeOf } from "./envelope.ts";
import type { SessionInfo } from "./info.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The head that follows from one more line. Every backend and every rebuild uses this, so that all stores agree.
 * Throws `ENTRY_CORRUPT` if the line does not follow. The chain is verified by `chain.ts`, not here.
 */
export function fold(head: Head | undefined, line: Uint8Array): Head {
  const folding = new HeadFold(head);
  folding.push(line);
  return folding.head as Head;
}

/** The same for many lines: the head is made when it is asked for, not for each line. */
export class HeadFold {
  /** The head of the last time it was asked for, or the one this began with. */
  #base: Head | undefined;
  #last: Envelope | undefined;
  #seq: number;
  #hash: string;
  #bytes: number;
  #fence: number;
  #updatedAt: string;
  #metadata: Head["info"]["metadata"] | undefined;
  #unsupported: string | undefined;

  constructor(head: Head | undefined) {
    this.#base = head;
    this.#seq = head?.seq ?? -1;
    this.#hash = head?.hash ?? "";
    this.#bytes = head?.bytes ?? 0;
    this.#fence = head?.fence ?? 0;
    this.#updatedAt = head?.info.updatedAt ?? "";
    this.#unsupported = head?.unsupported;
  }

  /** Seq of the last line, -1 before the header. */
  get seq(): number {
    return this.#seq;
  }

  /** Hash of the last line, empty before the header. */
  get hash(): string {
    return this.#hash;
  }

  /** Bytes of all lines, line ends included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the line's envelope. Throws `ENTRY_CORRUPT` and takes nothing in if the line does not follow. `hash`: as verified. */
  push(line: Uint8Array, hash?: string): Envelope {
    const envelope = envelopeOf(line, hash);
    if (this.#base === undefined) {
      this.#base = begin(envelope, line);
    } else {
      if (envelope.seq !== this.#seq + 1) {
        const { id } = this.#base;
        throw corrupt(`entry ${envelope.seq} stands where entry ${this.#seq + 1} of session ${id} is due`, id, this.#seq + 1);
      }
      if (envelope.type === "metadata") this.#metadata = dataOf(line) as Head["info"]["metadata"];
      if (this.#unsupported === undefined && !isUnderstood(envelope)) this.#unsupported = envelope.type;
      this.#last = envelope;
    }
    this.#seq = envelope.seq;
    this.#hash = envelope.hash;
    this.#bytes += line.length + 1;
    if (envelope.fence !== undefined && envelope.fence > this.#fence) this.#fence = envelope.fence;
    if (envelope.timestamp > this.#updatedAt) this.#updatedAt = envelope.timestamp;
    return envelope;
  }

  /** The head after the lines so far; undefined before the header. */
  get head(): Head | undefined {
    const base = this.#base;
    const last = this.#last;
    if (base === undefined || last === undefined) return base;
    const { id, agentName, userId, tenantId, key, createdAt } = base.info;
    // Member by member: a spread whose members are then replaced costs more than all the rest of a line.
    const info: Mutable<SessionInfo> = {
      id,
      agentName,
      version: this.#seq,
      messageCount: last.n,
      createdAt,
      updatedAt: this.#updatedAt,
      metadata: this.#metadata ?? base.info.metadata,
    };
    if (userId !== undefined) info.userId = userId;
    if (tenantId !== undefined) info.tenantId = tenantId;
    if (key !== undefined) info.key = key;
    const head: Mutable<Head> = {
      id: base.id,
      incarnation: base.incarnation,
      seq: this.#seq,
      hash: this.#hash,
      headSeq: last.head ?? last.seq,
      fence: this.#fence,
      bytes: this.#bytes,
      info,
    };
    if (this.#unsupported !== undefined) head.unsupported = this.#unsupported;
    if (base.lease !== undefined) head.lease = base.lease;
    if (base.keys !== undefined) head.keys = base.keys;
    this.#last = undefined;
    this.#metadata = undefined;
    this.#base = head;
    return head;
  }
}

function begin(envelope: Envelope, line: Uint8Array): Head {
  const data = dataOf(line) as unknown as HeaderData;
  if (
    envelope.seq !== 0 ||
    envelope.type !== "session" ||
    typeof data?.id !== "string" ||
    typeof data.incarnation !== "string" ||
    typeof data.agentName !== "string"
  ) {
    throw corrupt("the log does not begin with a session header");
  }
  return {
    id: data.id,
    incarnation: data.incarnation,
    seq: 0,
    hash: envelope.hash,
    headSeq: 0,
    fence: 0,
    bytes: line.length + 1,
    info: {
      id: data.id,
      agentName: data.agentName,
      ...(data.userId === undefined ? undefined : { userId: data.userId }),
      ...(data.tenantId === undefined ? undefined : { tenantId: data.tenantId }),
      ...(data.key === undefined ? undefined : { key: data.key }),
      version: 0,
      messageCount: 0,
      createdAt: envelope.timestamp,
      updatedAt: envelope.timestamp,
      metadata: data.metadata ?? {},
    },
  };
}
