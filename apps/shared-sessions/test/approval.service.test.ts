import { createRuntime, type ReplyStream, type Runtime, textOf, withSessionManager } from "@aixgo/core";
import type { SessionManager } from "@aixgo/session";
import { startPostgres } from "@aixgo/repository-tools/services/postgres";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { describe, expect, it } from "vitest";
import { openStore } from "../src/store.ts";

interface Node {
  readonly runtime: Runtime;
  readonly sessions: SessionManager;
  /** How often its agent went past all of its questions. */
  readonly ran: string[];
  /** Its agent waits for this before it answers. */
  before: Promise<void>;
  stop(): Promise<void>;
}

/** A node with connections of its own, whose agent asks two things and says what it was told. */
async function startNode(url: string, name: string): Promise<Node> {
  const sessions = openStore(url);
  const runtime = createRuntime(withSessionManager(sessions)).register("assistant", async (_, { suspend, emit, steps, session }) => {
    if ((await steps()).length === 0) await emit({ type: "message", message: "let me ask" });
    const answers = await Promise.all(["a", "b"].map((what) => suspend({ requestId: `${session?.turnId}/${what}`, reason: `${what}?` })));
    node.ran.push(name);
    await emit({ type: "message", message: "so" });
    await node.before;
    return answers.map((answer) => JSON.stringify(answer)).join();
  });
  const node: Node = {
    runtime,
    sessions,
    ran: [],
    before: Promise.resolve(),
    stop: async () => {
      await runtime.stop();
      await sessions.close();
    },
  };
  await runtime.start();
  return node;
}

type Shown = ReplyStream extends AsyncIterable<infer Event> ? Event : never;
const wordsOf = (event: Shown): string =>
  event.type === "message" && typeof event.message !== "string" ? textOf(event.message) : event.type;
async function take(stream: ReplyStream, most = Infinity): Promise<Shown[]> {
  const events: Shown[] = [];
  for await (const event of stream) if (events.push(event) >= most) break;
  return events;
}

const STORES = { Redis: startRedis, PostgreSQL: startPostgres } as const;

describe.each(Object.entries(STORES))("a question on %s", (_, startServer) => {
  it("asked on one node is answered on two others at once, runs once, and is followed to its end", async () => {
    const server = await startServer();
    const nodes: Node[] = [];
    try {
      const first = await startNode(server.url, "first");
      const { id } = await first.sessions.create("assistant");
      const asked = await first.runtime.callWithSession("assistant", "go", id);
      const [a = "", b = ""] = (asked.turn?.requests ?? []).map(({ requestId }) => requestId);
      await first.stop();
      nodes.push(await startNode(server.url, "one"), await startNode(server.url, "two"));
      const [one, two] = nodes as [Node, Node];
      await expect(one.runtime.callWithSession("assistant", "other", id)).rejects.toMatchObject({ code: "TURN_SUSPENDED" });
      await expect(two.sessions.get(id).then((session) => session.append("x"))).rejects.toMatchObject({ code: "TURN_SUSPENDED" });
      const replies = await Promise.all([
        one.runtime.resume(id, a, "yes"),
        two.runtime.resume(id, b, "no"),
        one.runtime.resume(id, b, "never"),
        two.runtime.resume(id, a, "never"),
      ]);
      const done = replies.filter(({ turn }) => turn?.status === "completed");
      expect(done.length).toBeGreaterThan(0);
      expect(new Set(done.map(({ text }) => text)).size).toBe(1);
      expect([...one.ran, ...two.ran]).toHaveLength(1);
      expect(await two.runtime.resume(id, a, "late")).toMatchObject({ text: done[0]?.text, turn: { replayed: true } });
      const session = await two.sessions.get(id);
      expect((await session.messages()).map(textOf)).toEqual(["go", "let me ask", "so", done[0]?.text]);
      expect((await session.verify()).problems).toEqual([]);

      const again = await one.runtime.callWithSession("assistant", "again", id);
      const [c = "", d = ""] = (again.turn?.requests ?? []).map(({ requestId }) => requestId);
      await two.runtime.resume(id, c, 1);
      let go = (): void => {};
      one.before = new Promise((resolve) => (go = resolve));
      const answering = one.runtime.streamResume(id, d, 2);
      const [so] = await take(answering, 1);
      const streams = await Promise.all(
        [so?.cursor, undefined].map((after) => two.runtime.attach(id, after === undefined ? {} : { after })),
      );
      const seen = streams.map((stream) => take(stream as ReplyStream));
      go();
      expect((await Promise.all(seen)).map((events) => events.map(wordsOf))).toEqual([["1,2"], ["let me ask", "so", "1,2"]]);
      expect(await streams[0]?.reply).toEqual(await answering.reply);
    } finally {
      for (const node of nodes) await node.stop();
      await server.stop();
    }
  }, 60_000);
});
