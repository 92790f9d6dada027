import { setTimeout as delay } from "node:timers/promises";
import { tool, type ToolSet } from "ai";
import { z } from "zod";

const SLOW_MS = 60_000;
const DEGREES: Readonly<Record<string, number>> = { Oslo: 4, Rome: 21 };

export interface ToolOptions {
  /** Called when the tool starts. */
  readonly onCall: (city: string) => void;
  /** A city whose thermometer takes its time. */
  readonly slowCity?: string;
}

export function createTools({ onCall, slowCity }: ToolOptions): ToolSet {
  return {
    weather: tool({
      description: "The temperature in a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }, { abortSignal }) => {
        onCall(city);
        if (city === slowCity) await delay(SLOW_MS, undefined, abortSignal === undefined ? {} : { signal: abortSignal });
        const degrees = DEGREES[city];
        if (degrees === undefined) throw new Error(`there is no thermometer in ${city}`);
        return { city, degrees };
      },
    }),
  };
}
