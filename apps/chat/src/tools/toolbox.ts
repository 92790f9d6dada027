import type { Tool } from "@aixgo/agents";
import { createCalculator } from "./calculator.ts";
import { createClock } from "./clock.ts";
import { createNotes } from "./notes.ts";
import { createSearch } from "./search.ts";

/** The tools of the chat, under the names by which models call them. */
export function createToolbox(): Readonly<Record<string, Tool>> {
  return { calculator: createCalculator(), clock: createClock(), notes: createNotes(), search: createSearch() };
}
