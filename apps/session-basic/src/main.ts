import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAixgoError, textOf } from "@aixgo/core";
import { createSessionManager, currentSession, runInSession, type Session, type SessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";

/** The life of a session, step by step. No agent and no model: sessions are useful without them. */
const AGENT = "diary";

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function show(session: Session): Promise<void> {
  const messages = await session.messages();
  say(messages.length === 0 ? "   (empty)" : messages.map((message) => `   ${message.role}: ${textOf(message)}`).join("\n"));
}

function open(baseDir: string): SessionManager {
  return createSessionManager({ backend: createFileBackend({ baseDir }) });
}

/** Writes, goes back, and writes something else. Returns the session's id. */
async function firstProcess(baseDir: string): Promise<string> {
  await using sessions = open(baseDir);

  say("1. create a session, with metadata");
  const session = await sessions.create(AGENT, { userId: "ada", metadata: { mood: "curious" } });
  say(`   ${session.id}`);

  say("2. append: durable once the promise resolves");
  const { version } = await session.append(["Monday: rain.", { role: "assistant", parts: [{ type: "text", text: "Take an umbrella." }] }]);
  await session.append("Monday evening: still rain.", { op: "monday-evening" });
  await session.append("Monday evening: still rain.", { op: "monday-evening" });
  say(`   version ${version} after the first two; the third was sent twice and is there once:`);
  await show(session);

  say("3. checkpoint");
  const checkpoint = await session.checkpoint({ label: "monday" });
  say(`   "${checkpoint.label ?? ""}" at ${checkpoint.messageCount} messages`);

  say("4. write on, then restore the checkpoint");
  await session.append("Tuesday: hail. I wish I had not looked.");
  const restored = await session.restore(checkpoint.id, { reason: "a better Tuesday" });
  say(`   back at ${restored.messageCount} messages`);
  await session.append("Tuesday: sun!");
  await show(session);

  say("5. nothing was cut off: the other Tuesday is a branch in the log");
  let entries = 0;
  for await (const entry of session.entries()) entries += entry.type === "message" ? 1 : 0;
  say(`   ${entries} messages stored, ${(await session.messages()).length} on the path`);
  return session.id;
}

/** What another process finds: everything, and where the first one left off. */
async function secondProcess(baseDir: string, id: string): Promise<void> {
  await using sessions = open(baseDir);

  say("6. a second manager, as after a restart, resumes the session");
  const session = await sessions.get(id);
  await show(session);
  const { metadata, messageCount } = await session.info();
  say(`   ${messageCount} messages, metadata ${JSON.stringify(metadata)}`);

  say("7. code far below finds its session without being handed it");
  await runInSession(session, async () => {
    await noteSomething();
  });

  say("8. one session for each user, whoever asks first");
  const [one, other] = await Promise.all([sessions.getOrCreate(AGENT, "bob"), sessions.getOrCreate(AGENT, "bob")]);
  say(`   asked twice at once: ${one.id === other.id ? "the same session" : "two sessions!"}`);

  say("9. list the sessions of one user");
  for await (const info of sessions.listAll({ agentName: AGENT, userId: "ada" })) say(`   ${info.id}: ${info.messageCount} messages`);

  say("10. verify the hash chain");
  const { entries, problems } = await session.verify();
  say(`   ${entries} entries, ${problems.length} problems`);

  say("11. delete");
  await sessions.delete(id);
  try {
    await sessions.get(id);
  } catch (error) {
    if (!isAixgoError(error)) throw error;
    say(`   get answers ${error.code}`);
  }
}

async function noteSomething(): Promise<void> {
  const session = currentSession();
  await session?.append("Wednesday: found by currentSession().");
  say(`   appended to ${session?.agentName ?? "nothing"}`);
}

const baseDir = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "aixgo-basic-")));
try {
  await secondProcess(baseDir, await firstProcess(baseDir));
} catch (error) {
  process.stderr.write(`session-basic: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (process.argv[2] === undefined) await rm(baseDir, { recursive: true, force: true });
}
