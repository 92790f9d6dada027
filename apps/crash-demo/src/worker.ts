import { createReActAgent } from "@aixgo/agents";
import { createRuntime, type Message, type Part, withSessionManager } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { createKillPoints } from "./kill-point.ts";
import { createModel, INPUT } from "./model.ts";
import { openOutbox } from "./outbox.ts";
import { sendReport } from "./report.ts";
import { createTools } from "./tools.ts";
import { AGENT, workerTask } from "./worker-task.ts";

/** The process that is killed: runs one turn, and reports what it may rely on. */
const { sessionDir, outboxDir, sessionId, turnKey, paceMs, fatal, nth } = workerTask(process.argv[2] ?? "");

const points = createKillPoints(fatal, nth, (name) => sendReport({ type: "point", name }));
const outbox = openOutbox(outboxDir);
const sessions = createSessionManager({ backend: createFileBackend({ baseDir: sessionDir }) });
const runtime = createRuntime(withSessionManager(sessions));
const agent = createReActAgent({ name: AGENT, model: createModel(points, paceMs), tools: createTools(points, outbox, paceMs) });
runtime.register(AGENT, {
  ...agent,
  execute(input, context) {
    sendReport({ type: "attempt", attempt: context.session?.attempt ?? 0 });
    return agent.execute(input, context);
  },
});

try {
  await runtime.start();
  sendReport({ type: "ready" });
  points.pass("before the turn");
  const stream = runtime.streamWithSession(AGENT, INPUT, sessionId, { turnKey });
  for await (const event of stream) {
    if (event.type === "text-delta") {
      sendReport({ type: "delta", text: (event as { readonly text: string }).text });
      points.pass("a word is said");
    } else if (event.type === "message") {
      const message = (event as { readonly message: Message }).message;
      sendReport({ type: "stored", id: message.id, role: message.role, lines: message.parts.flatMap(lineOf) });
      points.pass("a message is stored");
    }
  }
  const { text, turn } = await stream.reply;
  sendReport({ type: "answered", text, replayed: turn?.replayed === true });
  points.pass("after the answer");
} catch (error) {
  sendReport({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
} finally {
  await runtime.stop();
  await sessions.close();
}

function lineOf(part: Part): string[] {
  if (part.type === "tool-call") {
    const input = Object.entries(part.input as object).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    return [`⚙ ${part.toolName} ${input.join(" ")}`.trimEnd()];
  }
  if (part.type !== "tool-result") return [];
  const { output } = part;
  return [
    output.type === "interrupted"
      ? `↳ ${part.toolName}: outcome unknown; it is not run a second time`
      : `↳ ${part.toolName}: ${"value" in output ? JSON.stringify(output.value) : output.type}`,
  ];
}
