import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRuntime, defineAgent, textOf, withSessionManager } from "@aixgo/core";
import { createSessionManager, type SessionManager } from "@aixgo/session";
import { createSqliteBackend } from "./index.ts";

/** An agent that remembers what it was told, in a database of our own. Nothing here knows of SQLite but one line. */
function open(file: string): SessionManager {
  return createSessionManager({ backend: createSqliteBackend({ file, indexedMetadata: ["topic"] }) });
}

const shopkeeper = defineAgent({
  name: "shopkeeper",
  async execute(input, context) {
    const item = /^(?:add|buy) (.+)$/i.exec(textOf(input))?.[1];
    if (item === undefined) {
      // The conversation so far is what the store gave back, whoever wrote it there.
      const items = (await context.history({ roles: ["user"] })).flatMap(
        (message) => /^(?:add|buy) (.+)$/i.exec(textOf(message))?.[1] ?? [],
      );
      return items.length === 0 ? "Your list is empty." : `On your list: ${items.join(", ")}.`;
    }
    const count = Number((await context.getState()) ?? 0) + 1;
    await context.setState(count);
    return `Noted: ${item}. That makes ${count}.`;
  },
});

// Whoever reads may have read enough: `| head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Tells the agent some things, one of them twice. Returns the session's id. */
async function firstProcess(file: string): Promise<string> {
  await using sessions = open(file);
  await using runtime = createRuntime(withSessionManager(sessions));
  runtime.register(shopkeeper);
  await runtime.start();
  const session = await sessions.getOrCreate("shopkeeper", "ada", { metadata: { topic: "groceries" } });

  say("1. three turns; the second is sent twice, as after a lost reply");
  for (const [turnKey, text] of [
    ["a", "add bread"],
    ["b", "add milk"],
    ["b", "add milk"],
  ] as const) {
    const { text: answer, turn } = await runtime.callWithSession("shopkeeper", text, session.id, { turnKey });
    say(`   ${text} -> ${answer}${turn?.replayed === true ? " (from the log)" : ""}`);
  }

  say("2. a checkpoint, a mistake, and back");
  const checkpoint = await session.checkpoint({ label: "before the cake" });
  say(`   add cake -> ${(await runtime.callWithSession("shopkeeper", "add cake", session.id)).text}`);
  await session.restore(checkpoint.id, { reason: "no cake" });
  say(`   what is on it? -> ${(await runtime.callWithSession("shopkeeper", "what is on it?", session.id)).text}`);
  return session.id;
}

/** What another process finds in the file. */
async function secondProcess(file: string, id: string): Promise<void> {
  await using sessions = open(file);
  await using runtime = createRuntime(withSessionManager(sessions));
  runtime.register(shopkeeper);
  await runtime.start();

  say("3. a second manager, as after a restart");
  for (const text of ["add eggs", "what is on it?"]) say(`   ${text} -> ${(await runtime.callWithSession("shopkeeper", text, id)).text}`);

  say("4. found by its metadata, through an index of the database");
  for (const { userId, messageCount } of (await sessions.list({ metadata: { topic: "groceries" } })).items)
    say(`   of ${userId ?? "nobody"}: ${messageCount} messages`);

  say("5. verified line by line");
  const { entries, problems } = await (await sessions.get(id)).verify();
  say(`   ${entries} entries, ${problems.length} problems`);
}

const given = process.argv[2];
const folder = given === undefined ? await mkdtemp(join(tmpdir(), "aixgo-sqlite-")) : undefined;
const file = given ?? join(folder ?? "", "sessions.db");
try {
  await secondProcess(file, await firstProcess(file));
} catch (error) {
  process.stderr.write(`custom-backend: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}
