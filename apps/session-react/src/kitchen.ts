import { createReActAgent, tool } from "@aixgo/agents";
import type { Agent } from "@aixgo/core";
import { z } from "zod";
import { createCook } from "./model.ts";

/** An agent that cooks, with a tool to look up recipes and one that keeps a list in the session's state. */
export function createKitchen(onTool: (name: string) => void): Agent {
  return createReActAgent({
    name: "kitchen",
    model: createCook(),
    instructions: "You help in the kitchen.",
    tools: {
      recipe: tool({
        description: "Tells what a dish needs for some people.",
        inputSchema: z.object({ dish: z.string(), people: z.number().int().min(1) }),
        execute: ({ people }) => {
          onTool("recipe");
          return { flour: people * 60, eggs: people };
        },
      }),
      shopping_list: tool({
        description: "Adds to the shopping list, and tells what is on it.",
        inputSchema: z.object({ add: z.string() }),
        // State lies on the session's path: a restore brings the list of then back.
        execute: async ({ add }, context) => {
          onTool("shopping_list");
          const items = (await context.getState()) as readonly string[] | undefined;
          const next = items?.includes(add) === true ? items : [...(items ?? []), add];
          await context.setState(next);
          return { items: next };
        },
      }),
    },
  });
}
