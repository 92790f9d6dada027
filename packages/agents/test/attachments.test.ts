import { randomBytes } from "node:crypto";
import { createRuntime, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { expect, it } from "vitest";
import { createReActAgent } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";

it("sends attachments of the input and the history to the model, and goes on without one that is too large for it", async () => {
  await using sessions = createSessionManager({ backend: createMemoryBackend() });
  const session = await sessions.create("assistant");
  const model = createScriptedModel(["a picture", "the same picture", "nothing that I could see"]);
  await using runtime = createRuntime(withSessionManager(sessions)).register(createReActAgent({ name: "assistant", model }));
  await runtime.start();
  const picture = randomBytes(300_000);
  const part = await session.attach(picture, { mediaType: "image/png" });
  const data = { type: "data", data: picture.toString("base64") };
  const sent = (): unknown[] =>
    (model.calls.at(-1)?.prompt ?? []).flatMap(({ content }) =>
      (content as { type: string; data?: unknown; text?: string }[]).flatMap((each) =>
        each.type === "file"
          ? [typeof each.data === "string" ? { type: "data", data: each.data } : each.data]
          : each.text?.startsWith("[a file") === true
            ? ["left out"]
            : [],
      ),
    );

  await runtime.callWithSession("assistant", { role: "user", parts: [{ type: "text", text: "What is this?" }, part] }, session.id);
  expect(sent()).toEqual([data]);
  await runtime.callWithSession("assistant", "And again?", session.id);
  expect(sent()).toEqual([data]);
  const large = await session.attach(Buffer.alloc(9 * 1024 * 1024), { mediaType: "image/png" });
  await session.append({ role: "user", parts: [large] });
  await runtime.callWithSession("assistant", "And that?", session.id);
  expect(sent()).toEqual([data, "left out"]);
});
