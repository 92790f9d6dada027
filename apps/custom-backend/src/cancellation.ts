import { AixgoError } from "@aixgo/core";

/** Throws `CANCELLED` if the caller has given up. Looked at between steps: no listener is left behind. */
export function refuseAborted(doing: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new AixgoError("CANCELLED", `${doing}: given up, as its signal asked`, { cause: signal.reason });
}
