import { AixgoError } from "@aixgo/core";
import type { Tip } from "./line.ts";

/** For a batch's `check`: what was built on another version is not written. */
export function assertVersion(id: string, expected: number | undefined, tip: Tip): void {
  if (expected === undefined || expected === tip.seq) return;
  throw new AixgoError("VERSION_CONFLICT", `session ${id} is at version ${tip.seq}, not at ${expected}; nothing was written`, {
    details: { expected, actual: tip.seq },
  });
}
