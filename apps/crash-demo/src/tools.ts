import { setTimeout as sleep } from "node:timers/promises";
import { tool, type Tool } from "@aixgo/agents";
import { z } from "zod";
import type { KillPoints } from "./kill-point.ts";
import type { Outbox } from "./outbox.ts";

/** The tools of the demo. Each can be killed before, in and after its work. */
export function createTools(points: KillPoints, outbox: Outbox, paceMs: number): Readonly<Record<string, Tool>> {
  const work = async (name: string): Promise<void> => {
    points.pass(`${name}: begins`);
    await sleep(paceMs * 4);
  };
  return {
    stock: tool({
      description: "Tells how much of an item is left, in kg.",
      inputSchema: z.object({ item: z.string() }),
      execute: async ({ item }) => {
        await work("stock");
        points.pass("stock: ends");
        return { item, kg: 0.4 };
      },
    }),
    order: tool({
      description: "Orders an item. The same order number twice is one order.",
      inputSchema: z.object({ item: z.string(), kg: z.number() }),
      execute: async ({ item, kg }, { toolCallId }) => {
        await work("order");
        points.pass("order: ends");
        return { item, kg, order: toolCallId };
      },
    }),
    send_mail: tool({
      description: "Sends a mail. A mail that is sent cannot be called back.",
      // Never run twice: after a crash the agent is told that the outcome is unknown.
      effect: "once",
      inputSchema: z.object({ to: z.string(), text: z.string() }),
      execute: async ({ to, text }, { toolCallId }) => {
        outbox.began(toolCallId);
        await work("send_mail");
        outbox.send({ to, text });
        points.pass("send_mail: the mail has left");
        await sleep(paceMs * 4);
        points.pass("send_mail: ends");
        return { sent: true };
      },
    }),
    outbox: tool({
      description: "Lists the mails that were sent.",
      inputSchema: z.object({}),
      execute: async () => {
        await work("outbox");
        return { mails: outbox.mails().map(({ to, text }) => ({ to, text })) };
      },
    }),
  };
}
