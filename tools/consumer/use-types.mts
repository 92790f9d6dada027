// The types of the installed packages, as a strict project sees them.
import { createRuntime, defineAgent, isAixgoError, withSessionManager, type Agent, type Message, type Reply } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { createFileBackend } from "@aixgo/session-file";
import { createReActAgent } from "@aixgo/agents";

const stores: readonly (() => SessionBackend)[] = [
  createMemoryBackend,
  () => createFileBackend({ baseDir: "./sessions", durability: "os" }),
];
const echo: Agent = defineAgent({ name: "echo", execute: (input) => ({ role: "assistant", parts: input.parts }) });
void createReActAgent;

for (const open of stores) {
  const sessions: SessionManager = createSessionManager({ backend: open() });
  const runtime = createRuntime(withSessionManager(sessions), { timeoutMs: 30_000 });
  runtime.register(echo);
  await runtime.start();
  const session: Session = await sessions.getOrCreate("echo", "ada");
  const reply: Reply = await runtime.callWithSession("echo", "Hello", session.id, { turnKey: "one" });
  const messages: readonly Message[] = await session.messages();
  if (reply.text !== "Hello" || messages.length !== 2) throw new Error(`${reply.text}, ${messages.length} messages`);
  try {
    await sessions.get("0".repeat(32));
    throw new Error("a session that nobody made was found");
  } catch (error) {
    if (!isAixgoError(error, "SESSION_NOT_FOUND")) throw error;
  }
  // @ts-expect-error: the types know the options.
  const mistyped: Parameters<typeof sessions.list>[0] = { agent: "echo" };
  void mistyped;
  await runtime.stop();
  await sessions.close();
}
