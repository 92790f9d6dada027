import type { SessionBackend } from "./contract.ts";
import { Attachments } from "./attachments.ts";
import { SessionLog } from "./log.ts";
import { TurnQueue } from "./turn-queue.ts";
import { Writer } from "./writer.ts";
import type { Ref } from "./contract.ts";

/** What one process holds of one session while it uses it: shared by all handles, dropped when idle. */
export class OpenSession {
  readonly log: SessionLog;
  readonly writer: Writer;
  readonly turns: TurnQueue;
  readonly attachments: Attachments;
  /** The turn that runs in this process, if any. */
  running: { readonly id: string; cancel(kind: "cancelled" | "interrupted", reason: string): void } | undefined;
  readonly #ops = new Map<string, Promise<unknown>>();

  constructor(backend: SessionBackend, ref: Ref, rebaseMs: number) {
    this.log = new SessionLog(backend, ref);
    this.writer = new Writer(this.log, rebaseMs);
    this.turns = new TurnQueue(ref.id);
    this.attachments = new Attachments(backend, ref);
  }

  get ref(): Ref {
    return this.log.ref;
  }

  get isIdle(): boolean {
    return this.writer.isIdle && this.attachments.isIdle && this.turns.isIdle && this.running === undefined && this.#ops.size === 0;
  }

  /** Lets calls with the same op pass one after the other. */
  async oneAtATime<T>(op: string, body: () => Promise<T>): Promise<T> {
    const before = this.#ops.get(op);
    const mine = (async () => {
      await before?.catch(() => undefined);
      return body();
    })();
    this.#ops.set(op, mine);
    try {
      return await mine;
    } finally {
      if (this.#ops.get(op) === mine) this.#ops.delete(op);
    }
  }
}
