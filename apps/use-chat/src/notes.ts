import { type Tool, tool } from "@aixgo/agents";
import type { AgentContext } from "@aixgo/core";
import { z } from "zod";

const input = z.object({ text: z.string().min(1) });

/** A list that a chat keeps in the state of its session. To put something on it asks nobody; to take it off asks the user first. */
export const notes: Readonly<Record<"note" | "remove_note", Tool>> = {
  note: tool({
    description: "Writes a note down.",
    inputSchema: input,
    async execute({ text }, context) {
      const noted = await read(context);
      if (!noted.includes(text)) await context.setState([...noted, text]);
      return `Noted: ${text}.`;
    },
  }),
  remove_note: tool({
    description: "Removes a note.",
    inputSchema: input,
    needsApproval: true,
    async execute({ text }, context) {
      const left = (await read(context)).filter((note) => note !== text);
      await context.setState(left);
      return `Removed: ${text}; ${left.length === 0 ? "no notes are" : `${left.join(", ")} ${left.length === 1 ? "is" : "are"}`} left.`;
    },
  }),
};

async function read(context: Pick<AgentContext, "getState">): Promise<readonly string[]> {
  const state = await context.getState();
  return Array.isArray(state) ? state.map(String) : [];
}
