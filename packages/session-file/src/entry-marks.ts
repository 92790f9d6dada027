import type { Envelope } from "@aixgo/session/backend";

const MAX_OPS = 65_536;
/** Ids of the latest entries are kept in two generations of this size: a map that an entry leaves for each one that comes is far slower. */
const IDS_PER_GENERATION = 1_024;

/** What `find` knows of a log without reading it: the ops that callers gave, once all have been gathered, and the ids of the latest entries. */
export class EntryMarks {
  /** Undefined: not gathered. */
  #ops: Map<string, number> | undefined;
  #ids = new Map<string, number>();
  #olderIds: ReadonlyMap<string, number> = new Map();
  #complete = false;
  #dropped = false;

  readonly seen = ({ id, op, seq }: Envelope): void => {
    this.#ids.set(id, seq);
    if (this.#ids.size >= IDS_PER_GENERATION) {
      this.#olderIds = this.#ids;
      this.#ids = new Map();
    }
    if (op !== undefined && this.#ops !== undefined) this.noteOp(op, seq);
  };

  /** Undefined: unknown, the log has to be read. */
  seqOfId(id: string): number | undefined {
    return this.#ids.get(id) ?? this.#olderIds.get(id);
  }

  /** Null: no entry has this op. Undefined: unknown. */
  seqOfOp(op: string): number | null | undefined {
    const seq = this.#ops?.get(op);
    // A log with very many ops is remembered in part: what is not there has to be searched.
    return seq ?? (this.#complete ? null : undefined);
  }

  /** From now on ops are noted; `completed` says that earlier ones have been, too. */
  gather(): void {
    this.#ops ??= new Map();
  }

  completed(): void {
    if (this.#ops !== undefined && !this.#dropped) this.#complete = true;
  }

  noteOp(op: string, seq: number): void {
    const ops = this.#ops;
    if (ops === undefined || (ops.get(op) ?? -1) >= seq) return;
    ops.delete(op);
    ops.set(op, seq);
    if (ops.size > MAX_OPS) {
      ops.delete(ops.keys().next().value as string);
      this.#complete = false;
      this.#dropped = true;
    }
  }

  forget(): void {
    this.#ops = undefined;
    this.#complete = false;
    this.#dropped = false;
    this.#ids = new Map();
    this.#olderIds = new Map();
  }
}
