import { createReActAgent, tool } from "@aixgo/agents";
import { createScriptedModel } from "@aixgo/agents/testing";
import { createRuntime, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session } from "@aixgo/session";
import { expect, it } from "vitest";
import { z } from "zod";
import { answer } from "../src/answers.ts";

const remove = tool({
  description: "Removes a note.",
  inputSchema: z.object({ text: z.string() }),
  needsApproval: true,
  execute: ({ text }) => `Removed: ${text}.`,
});

it.each([
  ["runs", false],
  ["has ended", true],
])("an answer that comes a moment after another page's is shown what became of the calls; the turn %s by then", async (_name, ended) => {
  await using sessions = createSessionManager({ backend: createMemoryBackend() });
  const call = (text: string): { toolName: string; toolCallId: string; input: { text: string } } => ({
    toolName: "remove",
    toolCallId: text,
    input: { text },
  });
  const model = createScriptedModel([{ toolCalls: [call("milk"), call("eggs")] }, { text: "Done.", delayMs: 20 }]);
  await using runtime = createRuntime(withSessionManager(sessions)).register(createReActAgent({ name: "a", model, tools: { remove } }));
  await runtime.start();
  const session = await sessions.getOrCreate("a", "ada");
  await runtime.callWithSession("a", "remove both", session.id);
  const requests = await session.requests();
  expect(requests).toHaveLength(2);
  // What this page saw before the other one answered.
  const earlier: Session = Object.create(session, { requests: { value: async () => requests } }) as Session;
  for (const name of ["messages", "entries"] as const) Object.defineProperty(earlier, name, { value: session[name].bind(session) });

  const answered = (approves: string): Parameters<typeof answer>[2] => ({
    id: "x",
    role: "assistant",
    parts: requests.map(({ requestId, data }) => {
      const { toolCallId, input } = data as { readonly toolCallId: string; readonly input: object };
      const approval = { id: requestId, approved: toolCallId === approves };
      return { type: "tool-remove", toolCallId, input, state: "approval-responded", approval };
    }),
  });
  const page = async (of: Session, approves: string): Promise<string> =>
    (await answer(runtime, of, answered(approves), { id: "ada" })).toResponse({ approvals: true, messageId: "x" }).text();
  const first = page(session, "milk");
  if (ended) await first;
  const texts = await Promise.all([first, page(earlier, "eggs")]);
  for (const text of texts) {
    expect(text.match(/"tool-output-(?:available|denied)","toolCallId":"(?:milk|eggs)"/g)).toHaveLength(2);
    expect(text).toMatch(/tool-output[^]*"Done\."/);
    expect(text.match(/"Done\."/g)).toHaveLength(1);
    expect(text.match(/"type":"finish"/g)).toHaveLength(1);
  }
  expect(texts[1]?.match(/"tool-output-(?:available|denied)","toolCallId":"(?:milk|eggs)"/g)?.sort()).toEqual(
    texts[0]?.match(/"tool-output-(?:available|denied)","toolCallId":"(?:milk|eggs)"/g)?.sort(),
  );
});
