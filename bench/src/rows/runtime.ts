import { createRuntime, textOf } from "@aixgo/core";
import type { Message } from "@aixgo/core";
import { median, timed } from "../measure.ts";
import { promise, type Row } from "../row.ts";

/** What a call costs over the agent's own work: batches of calls, since one is shorter than the clock is exact. */
export async function runtimeRows(): Promise<readonly Row[]> {
  const runtime = createRuntime().register("echo", async (input) => textOf(input));
  await runtime.start();
  const message: Message = { id: "m", role: "user", parts: [{ type: "text", text: "hello" }], timestamp: new Date().toISOString() };
  const bare = async (input: Message): Promise<{ text: string }> => ({ text: textOf(input) });
  const batch = 2000;
  const calls = async (): Promise<void> => {
    for (let call = 0; call < batch; call += 1) await runtime.call("echo", "hello");
  };
  const floor = async (): Promise<void> => {
    for (let call = 0; call < batch; call += 1) await bare(message);
  };
  await calls();
  await floor();
  const over: number[] = [];
  for (let round = 0; round < 15; round += 1) over.push(((await timed(calls)) - (await timed(floor))) / batch);
  await runtime.stop();
  return [promise("call-in-process", "an in-process call, over the agent's own work", median(over), 5)];
}
