import {
  type AgentEvent,
  type Agent,
  createRuntime,
  type Reply,
  type ReplyStream,
  type Runtime,
  textOf,
  withSessionManager,
} from "@aixgo/core";
import { afterEach, describe, expect, it } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import type { Session, SessionManager } from "../src/index.ts";
import { mortal } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
type Shown = AgentEvent & { readonly cursor: string };

interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}
function gate(): Gate {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

const runtimes: Runtime[] = [];
afterEach(async () => {
  for (const runtime of runtimes.splice(0)) await runtime.stop({ graceMs: 0 });
});

interface Nodes {
  /** Where turns run. */
  readonly here: Runtime;
  /** Another node on the same store. */
  readonly there: Runtime;
  readonly a: SessionManager;
  readonly b: SessionManager;
  readonly s: Session;
  readonly id: string;
}
async function nodes(
  execute: Agent["execute"],
  options: Parameters<typeof twoNodes>[0] = {},
  wrap?: (backend: SessionBackend) => SessionBackend,
): Promise<Nodes> {
  const { a, b } = twoNodes(options, wrap);
  const on = async (manager: SessionManager): Promise<Runtime> => {
    const runtime = createRuntime(withSessionManager(manager)).register("x", execute);
    runtimes.push(runtime);
    await runtime.start();
    return runtime;
  };
  const s = await a.create("x", { userId: "ada" });
  return { here: await on(a), there: await on(b), a, b, s, id: s.id };
}

const wordOf = (event: AgentEvent): string =>
  event.type === "message"
    ? `[${typeof event.message === "string" ? event.message : textOf(event.message)}]`
    : "text" in event
      ? event.text
      : event.type;
async function read(stream: AsyncIterable<Shown>, most = Infinity): Promise<Shown[]> {
  const events: Shown[] = [];
  for await (const event of stream) if (events.push(event) >= most) break;
  return events;
}
const words = async (stream: AsyncIterable<Shown>): Promise<string[]> => (await read(stream)).map(wordOf);
const messagesIn = (events: readonly Shown[]): string[] => events.filter(({ type }) => type === "message").map(wordOf);
const attached = async (runtime: Runtime, id: string, after?: string): Promise<ReplyStream> => {
  const stream = await runtime.attach(id, after === undefined ? {} : { after });
  if (stream === undefined) throw new Error("nothing runs");
  return stream;
};
/** An agent that works step by step, each when its gate is opened. */
function stepwise(steps: number): { readonly agent: Agent["execute"]; readonly gates: readonly Gate[]; readonly begun: Gate } {
  const gates = Array.from({ length: steps }, gate);
  const begun = gate();
  return {
    gates,
    begun,
    async *agent() {
      for (const [index, { passed }] of gates.entries()) {
        yield { type: "text-delta", text: `a${index}` };
        yield { type: "text-delta", text: `b${index}` };
        if (index === 0) begun.open();
        await passed;
        yield { type: "message", message: `step ${index}` };
      }
      yield { type: "text-delta", text: "end" };
      return "answer";
    },
  };
}

describe("attach", () => {
  it("is undefined where no turn runs, and follows a turn that runs here: live deltas, each message once", async () => {
    const { agent, gates, begun } = stepwise(3);
    const { here, there, s, id } = await nodes(agent);
    expect(await here.attach(id)).toBeUndefined();
    const reply = here.callWithSession("x", "go", id);
    await begun.passed;
    const local = await attached(here, id);
    const remote = await attached(there, id);
    const seenHere = read(local);
    const seenThere = read(remote);
    for (const { open } of gates) {
      open();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await seenHere).map(wordOf)).toEqual([
      "a0",
      "b0",
      "[step 0]",
      "a1",
      "b1",
      "[step 1]",
      "a2",
      "b2",
      "[step 2]",
      "end",
      "[answer]",
    ]);
    expect((await seenThere).map(wordOf)).toEqual(["[step 0]", "[step 1]", "[step 2]", "[answer]"]);
    expect(await local.reply).toEqual(await reply);
    expect(await remote.reply).toEqual(await reply);
    expect(await here.attach(id)).toBeUndefined();
    expect(await there.attach(id)).toBeUndefined();
    expect((await s.verify()).problems).toEqual([]);
  });

  it("goes on from any cursor of the caller's stream, on this node and on another: no message twice, none missing", async () => {
    const { agent, gates, begun } = stepwise(4);
    const { here, there, s, id } = await nodes(agent);
    await s.append("before");
    const stream = here.streamWithSession("x", "go", id);
    const events: Shown[] = [];
    const reading = (async () => {
      for await (const event of stream) events.push(event);
    })();
    await begun.passed;
    gates[0]?.open();
    gates[1]?.open();
    while (messagesIn(events).length < 2 || events.filter(({ type }) => type === "text-delta").length < 6)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const cursors = events.map(({ cursor }) => cursor);
    const others = await Promise.all(cursors.flatMap((cursor) => [attached(here, id, cursor), attached(there, id, cursor)]));
    const reads = others.map((other) => read(other));
    await new Promise((resolve) => setTimeout(resolve, 20));
    gates[2]?.open();
    gates[3]?.open();
    await reading;
    const all = ["[step 0]", "[step 1]", "[step 2]", "[step 3]", "[answer]"];
    expect(messagesIn(events)).toEqual(all);
    for (const [index, each] of reads.entries()) {
      const at = Math.floor(index / 2);
      const before = events.slice(0, at + 1);
      const rest = await each;
      expect([...messagesIn(before), ...messagesIn(rest)]).toEqual(all);
      // On the node that runs the turn the deltas of the message that is being made go on, too: none twice.
      const tail = events.slice(at + 1).map(wordOf);
      if (index % 2 === 0 && at >= 6) expect(rest.map(wordOf)).toEqual(tail);
    }
    const places = events.map(({ cursor }) => cursor.split(".").slice(1).map(Number) as [number, number]);
    for (const [index, [version, shown]] of places.slice(1).entries()) {
      const [before, shownBefore] = places[index] as [number, number];
      expect(version > before || (version === before && shown > shownBefore)).toBe(true);
    }
  });

  it("shows what was stored since the cursor though other turns came in between", async () => {
    const go = gate();
    let turns = 0;
    const { here, there, id } = await nodes(async (_, { emit }) => {
      turns += 1;
      if (turns < 3) return `answer ${turns}`;
      await emit({ type: "message", message: "working" });
      await go.passed;
      return "answer 3";
    });
    const first = here.streamWithSession("x", "one", id);
    const [event] = await read(first);
    await first.reply;
    await here.callWithSession("x", "two", id);
    const third = here.callWithSession("x", "three", id);
    while ((await here.attach(id)) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    const late = [attached(here, id, event?.cursor as string), attached(there, id, event?.cursor as string)];
    const fresh = words(await attached(there, id));
    const reads = (await Promise.all(late)).map(words);
    go.open();
    for (const each of reads) expect(await each).toEqual(["[two]", "[answer 2]", "[three]", "[working]", "[answer 3]"]);
    expect(await fresh).toEqual(["[working]", "[answer 3]"]);
    await third;
  });

  it("refuses what is no cursor, a cursor of another life or another session, and one behind the end", async () => {
    const { here, there, id, a } = await nodes(() => "x");
    const stream = here.streamWithSession("x", "one", id);
    const [event] = await read(stream);
    const cursor = event?.cursor as string;
    const other = await a.create("x");
    for (const bad of ["", "1", "x.1", "x.y.z", `${cursor}.1`, `${cursor}x`, "a.-1.0", "a.01.0", "\ud800", 7])
      await expect(there.attach(id, { after: bad as string })).rejects.toThrow(withCode("INVALID_OPTION"));
    await expect(there.attach(other.id, { after: cursor })).rejects.toThrow(withCode("INCARNATION_CHANGED"));
    await expect(there.attach(id, { after: cursor.replace(/\.\d+\./, ".999.") })).rejects.toThrow(withCode("LOG_DIVERGED"));
    await expect(there.attach(id, { before: 1 } as never)).rejects.toThrow(withCode("INVALID_OPTION"));
    await expect(createRuntime().attach(id)).rejects.toThrow(withCode("INVALID_OPTION"));
    await expect(there.attach(id, { principal: { id: "bob" } })).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    await expect(there.attach("00")).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    expect(await there.attach(id, { after: cursor })).toBeUndefined();
  });

  it("costs a reader that lags, or never reads, a bounded number of events", async () => {
    const go = gate();
    const { here, id } = await nodes(async function* (_, { signal }) {
      yield { type: "message", message: "begun" };
      await go.passed;
      for (let n = 0; n < 20_000 && !signal.aborted; n += 1) yield { type: "text-delta", text: "x".repeat(100) };
      return "answer";
    });
    const reply = here.callWithSession("x", "go", id);
    while ((await here.attach(id)) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    const lagging = (await attached(here, id))[Symbol.asyncIterator]();
    const first = await lagging.next();
    expect(wordOf(first.value as AgentEvent)).toBe("[begun]");
    await attached(here, id);
    go.open();
    await reply;
    const rest: string[] = [];
    for (let next = await lagging.next(); next.done !== true; next = await lagging.next()) rest.push(wordOf(next.value));
    expect(rest.at(-1)).toBe("[answer]");
    expect(rest.length).toBeGreaterThan(100);
    expect(rest.length).toBeLessThanOrEqual(4097);
  });

  it("leaves the turn alone when its reader leaves; cancel stops it, from the other node too", async () => {
    const { agent, begun, gates } = stepwise(2);
    const { here, there, id } = await nodes(agent, { leaseMs: 4_000 });
    const dying = here.callWithSession("x", "go", id);
    dying.catch(() => undefined);
    await begun.passed;
    await read(await attached(here, id), 1);
    const stop = new AbortController();
    const followed = await there.attach(id, { signal: stop.signal });
    const following = read(followed as ReplyStream);
    stop.abort(new Error("enough"));
    await expect(following).rejects.toThrow(withCode("CANCELLED"));
    await expect(followed?.reply).rejects.toThrow(withCode("CANCELLED"));
    const stream = await attached(there, id);
    const reads = [read(stream), read(stream)];
    await stream.cancel("from elsewhere");
    for (const each of reads) await expect(each).rejects.toThrow(withCode("CANCELLED"));
    await expect(stream.reply).rejects.toThrow(/was cancelled/);
    await expect(dying).rejects.toThrow(withCode("CANCELLED"));
    for (const { open } of gates) open();
  });

  it("becomes a web Response, whose client may go away at any time and come back with the id of its last event", async () => {
    const { agent, gates, begun } = stepwise(2);
    const { here, there, id } = await nodes(agent);
    const reply = here.callWithSession("x", "go", id);
    await begun.passed;
    gates[0]?.open();
    const first = (await attached(there, id)).toResponse({ format: "sse" });
    const reader = (first.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    while (!text.includes("step 0")) text += Buffer.from((await reader.read()).value ?? []).toString();
    const [, cursor] = /id: (\S+)\nevent: message/.exec(text) ?? [];
    // Nothing comes now, and nothing holds it.
    await reader.cancel();
    const again = (await attached(here, id, cursor)).toResponse({ format: "sse" });
    gates[1]?.open();
    await reply;
    const rest = await again.text();
    expect(rest).not.toContain("step 0");
    expect(rest).toContain("step 1");
    expect(rest).toContain("answer");
    expect(rest).toContain("event: done");
  });

  it("throws what the log says of a turn that failed, with secrets left out", async () => {
    const go = gate();
    const { here, there, id } = await nodes(async () => {
      await go.passed;
      throw new Error("no luck with password=hunter2hunter2");
    });
    const dying = here.callWithSession("x", "go", id);
    dying.catch(() => undefined);
    while ((await there.attach(id)) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    const streams = [await attached(here, id), await attached(there, id)];
    const reads = streams.map((stream) => read(stream));
    go.open();
    for (const [index, each] of reads.entries()) {
      await expect(each).rejects.toMatchObject({ code: "AGENT_FAILED", message: expect.stringContaining("no luck") as string });
      const error = await streams[index]?.reply.catch((reason: unknown) => reason as Error);
      expect((error as Error).message).not.toContain("hunter2");
    }
    await expect(dying).rejects.toThrow(withCode("AGENT_FAILED"));
  });

  it("ends when the process of the turn is gone", async () => {
    const { wrap, expire } = mortal();
    const { a, there, id } = await nodes(() => "x", {}, wrap);
    const dead = await a.openTurn(id, { agent: "x", input: "go", options: { turnKey: "k" } });
    await dead.append("half");
    const stream = await attached(there, id);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of stream) seen.push(wordOf(event));
    })();
    await expire();
    await expect(reading).rejects.toMatchObject({ code: "CANCELLED", message: expect.stringContaining("its process is gone") as string });
    await expect(stream.reply).rejects.toThrow(withCode("CANCELLED"));
    expect(seen).toEqual(["[half]"]);
  });

  it("goes on with the attempt that takes a dead one over, as with one turn", async () => {
    const { wrap, expire } = mortal();
    const { a, b, there, id } = await nodes(() => "x", {}, wrap);
    const dead = await a.openTurn(id, { agent: "x", input: "go", options: { turnKey: "k" } });
    await dead.append("half");
    const stream = await attached(there, id);
    const seen = words(stream);
    await expire();
    const next = await b.openTurn(id, { agent: "x", input: "go", options: { turnKey: "k" } });
    expect(next.attempt).toBe(2);
    await next.append("whole");
    const reply = await next.complete("done");
    expect(await seen).toEqual(["[half]", "[whole]", "[done]"]);
    expect(await stream.reply).toEqual(reply);
  });

  it("ends with the reply of a turn that is suspended meanwhile", async () => {
    const go = gate();
    const { here, there, id } = await nodes(async (_, { emit, suspend }) => {
      await emit({ type: "message", message: "may I?" });
      await go.passed;
      return `so: ${JSON.stringify(await suspend({ requestId: "r", reason: "?" }))}`;
    });
    const reply = here.callWithSession("x", "go", id);
    while ((await there.attach(id)) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    const streams = [await attached(here, id), await attached(there, id)];
    const reads = streams.map(words);
    go.open();
    const suspendedReply: Reply = await reply;
    expect(suspendedReply).toMatchObject({ text: "may I?", turn: { status: "suspended", requests: [{ requestId: "r" }] } });
    for (const [index, each] of reads.entries()) {
      expect(await each).toEqual(["[may I?]"]);
      expect(await streams[index]?.reply).toEqual(suspendedReply);
    }
    expect(await there.attach(id)).toBeUndefined();
    const answered = there.streamResume(id, "r", "yes");
    expect(await words(answered)).toEqual(["[may I?]", '[so: "yes"]']);
  });
});

const first = <T>(items: AsyncIterable<T>): Promise<IteratorResult<T>> => items[Symbol.asyncIterator]().next();

describe("follow", () => {
  it("gives the messages of the path, then those that any node stores, each once, with their turns", async () => {
    const { here, s, b, id } = await nodes(() => "answer");
    await s.append("left behind");
    const place = await s.checkpoint();
    await s.append("also");
    await s.restore(place.id);
    const stop = new AbortController();
    const seen: string[] = [];
    const done = (async () => {
      for await (const { message, turnId, version } of b.follow(id, { signal: stop.signal })) {
        seen.push(`${textOf(message)} ${turnId === undefined ? "-" : "turn"} ${version}`);
        if (seen.length === 4) stop.abort();
      }
    })();
    while (seen.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    await here.callWithSession("x", "q", id);
    await s.append("after");
    await expect(done).rejects.toThrow(withCode("CANCELLED"));
    expect(seen).toEqual(["left behind - 1", "q turn 6", "answer turn 7", "after - 9"]);
    await expect(first(b.follow(id, { after: "nonsense" }))).rejects.toThrow(withCode("INVALID_OPTION"));
    await expect(first(b.follow(id, { principal: { id: "bob" } }))).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
  });
});
