import { AixgoError } from "@aixgo/core";
import type { Ref, SessionBackend } from "./contract.ts";
import { OpenSession } from "./open-session.ts";

/** What idle sessions may hold in memory: beyond, the least recently used are dropped and read anew when needed. */
const MAX_SESSIONS = 1024;
const MAX_BYTES = 64 * 1024 * 1024;
/** Uses between two looks at what is held. */
const CHECK_EVERY = 256;

/** The sessions that this process has touched lately. Dropping one loses nothing but time. */
export class SessionCache {
  readonly #backend: SessionBackend;
  readonly #rebaseMs: number;
  readonly #sessions = new Map<string, OpenSession>();
  #checked = 0;
  #latest: OpenSession | undefined;

  constructor(backend: SessionBackend, rebaseMs: number) {
    this.#backend = backend;
    this.#rebaseMs = rebaseMs;
  }

  open(ref: Ref): OpenSession {
    const known = this.#sessions.get(ref.id);
    if (known !== undefined && known.ref.incarnation === ref.incarnation) {
      if (known !== this.#latest) {
        this.#sessions.delete(ref.id);
        this.#sessions.set(ref.id, known);
        this.#latest = known;
      }
      return known;
    }
    if (known !== undefined && !known.isIdle)
      throw new AixgoError("INCARNATION_CHANGED", `session ${ref.id} was rewritten while it was in use`);
    const fresh = new OpenSession(this.#backend, ref, this.#rebaseMs);
    this.#sessions.set(ref.id, fresh);
    this.#latest = fresh;
    this.touched();
    return fresh;
  }

  get(id: string): OpenSession | undefined {
    return this.#sessions.get(id);
  }

  drop(id: string): void {
    const known = this.#sessions.get(id);
    if (known?.isIdle !== true) return;
    if (known === this.#latest) this.#latest = undefined;
    this.#sessions.delete(id);
  }

  all(): readonly OpenSession[] {
    return [...this.#sessions.values()];
  }

  /** Called by each use: what was loaded meanwhile counts. */
  touched(): void {
    this.#checked += 1;
    if (this.#checked % CHECK_EVERY === 0) this.#shrink();
  }

  #shrink(): void {
    let bytes = 0;
    for (const each of this.#sessions.values()) bytes += each.log.tree.bytes;
    for (const [id, each] of this.#sessions) {
      if (this.#sessions.size <= MAX_SESSIONS && bytes <= MAX_BYTES) return;
      if (!each.isIdle) continue;
      bytes -= each.log.tree.bytes;
      if (each === this.#latest) this.#latest = undefined;
      this.#sessions.delete(id);
    }
  }
}
