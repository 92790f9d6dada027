import { tool, type Tool } from "@aixgo/agents";
import { z } from "zod";

/** Tells date and time, in the machine's zone or another. */
export function createClock(now: () => Date = () => new Date()): Tool<{ timeZone?: string | undefined }> {
  return tool({
    description: "Tells the current date and time. timeZone is an IANA name such as Europe/Paris; without it, the machine's zone.",
    inputSchema: z.object({ timeZone: z.string().min(1).max(64).optional() }),
    execute: ({ timeZone }) => {
      const date = now();
      const zone = timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
      try {
        return {
          iso: date.toISOString(),
          timeZone: zone,
          date: new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "full" }).format(date),
          time: new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "short" }).format(date),
        };
      } catch {
        throw new Error(`"${zone}" is not a time zone known here; give an IANA name such as Europe/Paris`);
      }
    },
  });
}
