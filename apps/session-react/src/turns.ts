import { createRuntime, withSessionManager, type Runtime } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { createKitchen } from "./kitchen.ts";

/** One turn: what is asked, and the key by which the same question asked again is known. */
export interface Turn {
  readonly key: string;
  readonly text: string;
}

/** Takes turns in one user's session, as one process of an application does between its start and its end. */
export async function takeTurns(baseDir: string, turns: readonly Turn[], say: (line: string) => void): Promise<void> {
  await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
  await using runtime: Runtime = createRuntime(withSessionManager(sessions));
  const used: string[] = [];
  runtime.register(createKitchen((name) => used.push(name)));
  await runtime.start();
  const session = await sessions.getOrCreate("kitchen", "ada");
  say(`process ${process.pid}, session ${session.id}: ${(await session.info()).messageCount} messages so far`);
  for (const { key, text } of turns) {
    used.length = 0;
    say(`  ada:     ${text}`);
    const reply = await runtime.callWithSession("kitchen", text, session.id, { turnKey: key });
    say(`  kitchen: ${reply.text}`);
    say(`           ${reply.turn?.replayed === true ? "answered from the log, nothing ran" : `tools used: ${used.join(", ") || "none"}`}`);
  }
  const { entries, problems } = await session.verify();
  say(`  ${(await session.messages({ roles: ["user"] })).length} questions and ${entries} entries in the log, ${problems.length} problems`);
}
