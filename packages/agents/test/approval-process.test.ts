import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Json, ToolResultPart } from "@aixgo/core";
import { createSessionManager, type SessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type NodeOptions, type Said, saidOf, startNode } from "./support/approval-node.ts";
import type { Task } from "./support/approval-worker.ts";

const NODE_ARGUMENTS = ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href, "--conditions=@aixgo/source"];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aixgo-approval-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Conversation {
  readonly id: string;
  ledger(): readonly string[];
  /** By this process, with everything opened and closed for it alone: what a restart sees. */
  ask(): Promise<Said>;
  answer(requestId: string, decision: Json): Promise<Said>;
  /** By a process of its own, which may kill itself. */
  answerElsewhere(requestId: string, decision: Json, dies?: NodeOptions["dies"]): Promise<Said | "killed">;
  /** Kinds of the stored results; the log must be whole. */
  results(): Promise<readonly string[]>;
}

async function opened<T>(body: (sessions: SessionManager) => Promise<T>): Promise<T> {
  const sessions = createSessionManager({ backend: createFileBackend({ baseDir: join(folder, "store") }) });
  try {
    return await body(sessions);
  } finally {
    await sessions.close();
  }
}

async function conversation(effect: NodeOptions["effect"], isDelegated = false): Promise<Conversation> {
  const id = await opened(async (sessions) => (await sessions.create("assistant")).id);
  const ledger = join(folder, `${id}.ledger`);
  const onNode = (call: (node: Awaited<ReturnType<typeof startNode>>) => ReturnType<typeof node.resume>): Promise<Said> =>
    opened(async (sessions) => {
      const node = await startNode(sessions, { ledger, effect, isDelegated });
      try {
        return saidOf(await call(node));
      } finally {
        await node.stop();
      }
    });
  return {
    id,
    ledger: () => (existsSync(ledger) ? readFileSync(ledger, "utf8").trim().split("\n") : []),
    ask: () => onNode((node) => node.callWithSession("assistant", "pay bob", id, { turnKey: "k" })),
    answer: (requestId, decision) => onNode((node) => node.resume(id, requestId, decision)),
    async answerElsewhere(requestId, decision, dies) {
      const task: Task = {
        baseDir: join(folder, "store"),
        sessionId: id,
        ledger,
        effect,
        isDelegated,
        requestId,
        decision,
        ...(dies && { dies }),
      };
      const worker = join(import.meta.dirname, "support/approval-worker.ts");
      const child = spawn(process.execPath, [...NODE_ARGUMENTS, worker, JSON.stringify(task)], { stdio: ["ignore", "pipe", "inherit"] });
      const bound = setTimeout(() => child.kill("SIGTERM"), 60_000);
      let text = "";
      child.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
      const [, signal] = (await once(child, "close")) as [number | null, string | null];
      clearTimeout(bound);
      return signal === "SIGKILL" ? "killed" : (JSON.parse(text) as Said);
    },
    results: () =>
      opened(async (sessions) => {
        const session = await sessions.get(id);
        expect((await session.verify()).problems).toEqual([]);
        const parts = (await session.messages()).flatMap((message) => message.parts);
        return parts.filter((part): part is ToolResultPart => part.type === "tool-result").map(({ output }) => output.type);
      }),
  };
}

describe("an approval on files", () => {
  it("given restarts later goes on with the same turn; given by three processes at once, and denied late, it counts once", async () => {
    const { ask, answer, answerElsewhere, ledger, results } = await conversation("idempotent");
    const asked = await ask();
    expect(asked).toMatchObject({ status: "suspended", replayed: false });
    expect(asked.requests).toHaveLength(1);
    // A restart asks again, and learns what is open.
    expect(await ask()).toEqual({ ...asked, replayed: true });
    expect(ledger()).toEqual(["look bob"]);
    const [requestId] = asked.requests as [string];
    const answers = await Promise.all([true, { approved: true }, true].map((decision) => answerElsewhere(requestId, decision)));
    expect(answers.map((each) => (each as Said).text)).toEqual(["Paid.", "Paid.", "Paid."]);
    expect(answers.filter((each) => (each as Said).replayed)).toHaveLength(2);
    expect(await answer(requestId, false)).toMatchObject({ text: "Paid.", replayed: true });
    expect(ledger()).toEqual(["look bob", "pay bob"]);
    expect(await results()).toEqual(["json", "text"]);
  }, 120_000);

  for (const [effect, dies, text, paid] of [
    ["idempotent", "before", "Paid.", 1],
    ["idempotent", "after", "Paid.", 2],
    ["once", "before", "It is unknown whether it was paid.", 0],
    ["once", "after", "It is unknown whether it was paid.", 1],
  ] as const) {
    it(`runs an ${effect} tool ${effect === "once" ? "at most" : "at least"} once when its process is killed ${dies} it has done something`, async () => {
      const { ask, answer, answerElsewhere, ledger, results } = await conversation(effect);
      const [requestId] = (await ask()).requests as [string];
      expect(await answerElsewhere(requestId, true, dies)).toBe("killed");
      // Whoever answers again, whatever they answer, finishes what the first answer began.
      expect(await answer(requestId, false)).toMatchObject({ status: "completed", text });
      expect(ledger().filter((line) => line.startsWith("pay"))).toHaveLength(paid);
      expect(await results()).toEqual(effect === "once" ? ["json", "interrupted"] : ["json", "text"]);
    }, 60_000);
  }

  it.each([
    ["idempotent", "after", "Paid.", 2],
    ["once", "before", "It is unknown whether it was paid.", 0],
    ["once", "after", "It is unknown whether it was paid.", 1],
  ] as const)(
    "of an agent that is a tool of another holds as well: %s, killed %s it has done something",
    async (effect, dies, text, paid) => {
      const { ask, answer, answerElsewhere, ledger, results } = await conversation(effect, true);
      const [requestId] = (await ask()).requests as [string];
      expect(await answerElsewhere(requestId, true, dies)).toBe("killed");
      expect(await answer(requestId, false)).toMatchObject({ status: "completed", text });
      expect(await ask()).toMatchObject({ text, replayed: true });
      // What the agent had done before it asked is not done again.
      expect(ledger()).toEqual(["look bob", ...Array<string>(paid).fill("pay bob")]);
      expect(await results()).toEqual(["text"]);
    },
    60_000,
  );

  it("denied leaves the tool alone", async () => {
    const { ask, answer, ledger, results } = await conversation("once");
    const [requestId] = (await ask()).requests as [string];
    await expect(answer(`${requestId}x`, true)).rejects.toMatchObject({ code: "ENTRY_NOT_FOUND" });
    expect(await answer(requestId, { approved: false, reason: "no" })).toMatchObject({ text: "Not paid." });
    expect(ledger()).toEqual(["look bob"]);
    expect(await results()).toEqual(["json", "execution-denied"]);
  });
});
