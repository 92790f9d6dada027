import { tool, type Tool } from "@aixgo/agents";
import { z } from "zod";
import { evaluate } from "./expression.ts";

/** Works out arithmetic. An expression that cannot be read is an error that the model sees. */
export function createCalculator(): Tool<{ expression: string }> {
  return tool({
    description:
      "Works out one arithmetic expression, such as (2+3)*4 or sqrt(2)/2. Operators: + - * / % ^. Functions: sqrt cbrt abs round floor ceil sin cos tan ln log min max. Constants: pi e.",
    inputSchema: z.object({ expression: z.string().min(1).max(1_000) }),
    execute: ({ expression }) => ({ expression, result: evaluate(expression) }),
  });
}
