import { isAixgoError } from "@aixgo/core";
import type { Lease, Ref, SessionBackend } from "./contract.ts";

export interface LeaseKeeperOptions {
  readonly backend: SessionBackend;
  readonly ref: Ref;
  readonly lease: Pick<Lease, "fence" | "token">;
  readonly leaseMs: number;
  /** Another holds the lease now, or the session is gone. */
  onLost(error: unknown): void;
  onCancel(reason: string): void;
}

/** Prolongs a turn's lease until it is stopped. Passing faults of the store are tried again: a lease that nobody took may still write. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#schedule(options.leaseMs / 3);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(ms: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#renew(), ms);
    // The work of the turn keeps the process alive, not its lease.
    this.#timer.unref();
  }

  async #renew(): Promise<void> {
    const { backend, ref, lease, leaseMs } = this.#options;
    try {
      const { cancelRequested } = await backend.renew(ref, lease, leaseMs);
      if (this.#isStopped) return;
      if (cancelRequested !== undefined) this.#options.onCancel(cancelRequested);
      this.#schedule(leaseMs / 3);
    } catch (error) {
      if (this.#isStopped) return;
      const isFinal = ["FENCED", "SESSION_DELETED", "SESSION_NOT_FOUND", "INCARNATION_CHANGED", "BACKEND_CLOSED"].some((code) =>
        isAixgoError(error, code),
      );
      if (isFinal) this.#options.onLost(error);
      else this.#schedule(leaseMs / 10);
    }
  }
}
