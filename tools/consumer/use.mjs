// What an application does with the installed packages: sessions in memory and in files, a runtime, an agent.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRuntime, textOf, withSessionManager } from "@aixgo/core";
import { isSafeName } from "@aixgo/security";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import * as agents from "@aixgo/agents";
import * as backend from "@aixgo/session/backend";
import * as testkit from "@aixgo/session-testkit";

assert.equal(isSafeName("../x"), false);
assert.equal(typeof agents.createReActAgent, "function");
assert.equal(typeof backend.fold, "function");
assert.equal(typeof testkit.testBackend, "function");

const baseDir = mkdtempSync(join(tmpdir(), "aixgo-consumer-"));
for (const open of [() => createMemoryBackend(), () => createFileBackend({ baseDir })]) {
  const sessions = createSessionManager({ backend: open() });
  const runtime = createRuntime(withSessionManager(sessions));
  runtime.register("echo", async (input, context) => `${(await context.history()).length}:${textOf(input)}`);
  await runtime.start();
  const session = await sessions.getOrCreate("echo", "ada@example.com");
  await session.append("before");
  assert.equal((await runtime.callWithSession("echo", "Hi", session.id)).text, "1:Hi");
  assert.deepEqual((await session.messages()).map(textOf), ["before", "Hi", "1:Hi"]);
  assert.deepEqual((await session.verify()).problems, []);
  await runtime.stop();
  await sessions.close();
}
const again = createSessionManager({ backend: createFileBackend({ baseDir }) });
assert.equal((await (await again.getOrCreate("echo", "ada@example.com")).messages()).length, 3);
await again.close();
