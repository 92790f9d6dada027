import { asOpenAISession } from "@aixgo/openai-agents";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { Agent, run, RunState, setTracingDisabled, tool } from "@openai/agents";
import { z } from "zod";
import { offlineModel } from "./model.ts";

/** One process: `worker.js DIR ask QUESTION`, `worker.js DIR approve` or `worker.js DIR undo`. */
const [baseDir, task, question = ""] = process.argv.slice(2);
if (baseDir === undefined || (task !== "ask" && task !== "approve" && task !== "undo"))
  throw new Error("usage: worker.js DIR ask QUESTION | approve | undo");
const say = (text: string): void => void process.stdout.write(`  ${text}\n`);
setTracingDisabled(true);

const deleteFile = tool({
  name: "delete_file",
  description: "Deletes a file.",
  parameters: z.object({ file: z.string() }),
  needsApproval: true,
  execute: async ({ file }) => `${file} is gone`,
});
const agent = new Agent({ name: "assistant", instructions: "Be brief.", model: offlineModel, tools: [deleteFile] });

await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
const durable = await sessions.getOrCreate("assistant", "ada");
const session = asOpenAISession(durable);

if (task === "undo") {
  // A question and its answer are two items here; nothing is lost, `durable.restore` brings them back.
  await session.popItem();
  await session.popItem();
  say(`${(await session.getItems()).length} items are left`);
} else {
  const result = task === "ask" ? await run(agent, question, { session }) : await run(agent, await approved(), { session });
  for (const { name, arguments: input } of result.interruptions) say(`waits for a person: ${name ?? ""} ${input ?? ""}`);
  if (result.finalOutput !== undefined) say(result.finalOutput);
  // What a run waits for is kept with the session, and lasts as long.
  await durable.setMetadata(result.interruptions.length === 0 ? {} : { waiting: result.state.toString() });
}

async function approved() {
  const { waiting } = (await durable.info()).metadata;
  if (typeof waiting !== "string") throw new Error("nothing waits for an approval");
  const state = await RunState.fromString(agent, waiting);
  for (const interruption of state.getInterruptions()) state.approve(interruption);
  return state;
}
