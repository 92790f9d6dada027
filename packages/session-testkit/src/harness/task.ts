export interface Order {
  readonly module: string;
  readonly name: string;
  readonly store: string;
  /** How far the child's clock is ahead. */
  readonly clockMs: number;
}

/** `acked`: what the store has acknowledged, or a task has come to. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "acked"; readonly op: string }
  | { readonly kind: "done"; readonly id?: string; readonly created?: boolean; readonly ended?: string }
  | { readonly kind: "failed"; readonly message: string; readonly code?: string };

/** What a child process is asked to do. */
export type Task =
  /** Batches, one after the other, each built anew on the head that a conflict brought. */
  | { readonly kind: "append"; readonly id: string; readonly tag: string; readonly count: number; readonly batch: number }
  | { readonly kind: "hold"; readonly id: string; readonly token: string; readonly ttlMs: number }
  | { readonly kind: "renew"; readonly id: string; readonly fence: number; readonly token: string; readonly ttlMs: number }
  /** Lines under a lease until they are refused; answers with the code. */
  | { readonly kind: "write-on"; readonly id: string; readonly fence: number; readonly token: string }
  | { readonly kind: "create"; readonly key: string }
  /** So many sessions, at the child's own time; their ids are acknowledged. */
  | { readonly kind: "start"; readonly agentName: string; readonly count: number }
  /** Gets the session of a key and deletes it, again and again; the ids that it deleted are acknowledged. */
  | { readonly kind: "churn"; readonly key: string; readonly count: number }
  | { readonly kind: "attach"; readonly id: string; readonly text: string }
  /** The lines, or the bytes, come slowly; each is acknowledged before it is given. */
  | { readonly kind: "slow-create"; readonly id: string; readonly key: string; readonly lines: number }
  | { readonly kind: "slow-rewrite"; readonly id: string; readonly lines: number }
  | { readonly kind: "slow-attach"; readonly id: string; readonly digest?: string; readonly pieces: readonly string[] };
