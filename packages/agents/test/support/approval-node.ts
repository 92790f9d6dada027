import { appendFileSync } from "node:fs";
import { createRuntime, type Reply, type Runtime, withSessionManager } from "@aixgo/core";
import type { SessionManager } from "@aixgo/session";
import { z } from "zod";
import { createAgentTool, createReActAgent, tool } from "../../src/index.ts";
import { createScriptedModel } from "../../src/testing.ts";

export interface NodeOptions {
  /** A line for each thing that happens outside of the session: what a bank would see. */
  readonly ledger: string;
  readonly effect: "once" | "idempotent";
  /** Where the process kills itself: before the tool does anything, or when it has. */
  readonly dies?: "before" | "after" | undefined;
  /** The agent that pays is a tool of the one that is asked. */
  readonly isDelegated?: boolean | undefined;
}

/** A process of an agent that pays when it may. Its model is the same in every process: what it says follows from the prompt. */
export async function startNode(sessions: SessionManager, { ledger, effect, dies, isDelegated = false }: NodeOptions): Promise<Runtime> {
  const input = z.object({ to: z.string() });
  const die = (where: NodeOptions["dies"]): void => {
    if (dies === where) process.kill(process.pid, "SIGKILL");
  };
  const model = createScriptedModel([
    ({ prompt }) => {
      const told = JSON.stringify(prompt);
      if (!told.includes("tool-call")) return { toolCalls: ["look", "pay"].map((toolName) => ({ toolName, input: { to: "bob" } })) };
      if (told.includes("execution-denied")) return "Not paid.";
      return told.includes("at most once") ? "It is unknown whether it was paid." : "Paid.";
    },
  ]);
  const look = tool({
    inputSchema: input,
    execute: ({ to }) => {
      appendFileSync(ledger, `look ${to}\n`);
      return null;
    },
  });
  const pay = tool({
    inputSchema: input,
    effect,
    needsApproval: true,
    execute: ({ to }) => {
      die("before");
      appendFileSync(ledger, `pay ${to}\n`);
      die("after");
      return "paid";
    },
  });
  const runtime = createRuntime(withSessionManager(sessions));
  runtime.register(createReActAgent({ name: isDelegated ? "clerk" : "assistant", model, tools: { look, pay } }));
  if (isDelegated) {
    const boss = createScriptedModel([
      ({ prompt }) => {
        const told = JSON.stringify(prompt);
        if (!told.includes("tool-call")) return { toolCalls: [{ toolName: "clerk", input: { task: "pay bob" } }] };
        return /Paid\.|Not paid\.|It is unknown whether it was paid\./.exec(told)?.[0] ?? "The clerk said nothing of it.";
      },
    ]);
    const clerk = createAgentTool({ agent: "clerk", description: "pays", runtime, sessions });
    runtime.register(createReActAgent({ name: "assistant", model: boss, tools: { clerk } }));
  }
  await runtime.start();
  return runtime;
}

export interface Said {
  readonly status: string;
  readonly text: string;
  readonly replayed: boolean;
  readonly requests: readonly string[];
}

export function saidOf({ text, turn }: Reply): Said {
  const { status, replayed, requests = [] } = turn as NonNullable<Reply["turn"]>;
  return { status, text, replayed, requests: requests.map(({ requestId }) => requestId) };
}
