import type { Envelope } from "./entry.ts";

/** What need not be read from a line because this process has just built it. */
export interface BuiltLine {
  /** As `envelopeOf` reads it from the bytes. */
  readonly envelope: Envelope;
  /** The hash that the line's own was computed behind; for a header the incarnation. */
  readonly previousHash: string;
}

/** Not exported: nobody else can vouch for a line. A copy of its bytes, or a view of them, is a line like any other. */
const BUILT = Symbol("built line");

type Marked = Uint8Array & { [BUILT]?: BuiltLine | undefined };

/** Whoever marks a line has sealed it and does not change it any more. */
export function markBuilt(line: Uint8Array, built: BuiltLine): void {
  (line as Marked)[BUILT] = built;
}

/** From now on the line is one like any other. */
export function forgetBuilt(line: Uint8Array): void {
  (line as Marked)[BUILT] = undefined;
}

/**
 * What is known of a line that was built in this process, and not read from anywhere. So a store that verifies what it is
 * given need neither hash nor parse it a second time. Undefined: the bytes have to be looked at.
 */
export function builtLine(line: Uint8Array): BuiltLine | undefined {
  return (line as Marked)[BUILT];
}
