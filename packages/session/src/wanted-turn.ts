import type { OpenTurn } from "@aixgo/core";
import type { Head } from "./contract.ts";
import type { EncodedMessage } from "./message-data.ts";
import type { Start } from "./turn-start.ts";

/** A request for a turn, as far as the waiting for the session need know it. */
export interface Wanted {
  /** What is to be in the store before the turn begins. */
  readonly outgoing: EncodedMessage["outgoing"];
  /** The turn as the log has it, if no agent is to run for this request: now, and whether or not another turn runs. */
  known(head: Head): Promise<OpenTurn | undefined>;
  /**
   * What is to be started on this head, where no turn runs; or the turn as it is after what was to be written without a start.
   * Throws `Moved`, and why it cannot be.
   */
  plan(head: Head): Promise<{ readonly start: Start } | { readonly turn: OpenTurn }>;
}
