import { createRuntime, type ReplyStream, type Runtime, withSessionManager } from "@aixgo/core";
import { afterEach, describe, expect, it } from "vitest";
import { createMemoryBackend, createSessionManager } from "../src/index.ts";

const runtimes: Runtime[] = [];
afterEach(async () => {
  for (const runtime of runtimes.splice(0)) await runtime.stop({ graceMs: 0 });
});

/** More than a stream keeps for a reader that has not come yet. */
const WORDS = Array.from({ length: 6_000 }, (_, index) => `w${index} `);

/** An agent that shows more than is kept, twice, and waits in between: for who attaches, and for who lags. */
async function wordy(): Promise<{ runtime: Runtime; id: string; begun: Promise<void>; goOn: () => void }> {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const runtime = createRuntime(withSessionManager(sessions));
  runtimes.push(runtime);
  let goOn = (): void => {};
  const waiting = new Promise<void>((resolve) => (goOn = resolve));
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  runtime.register("talker", async function* () {
    for (const text of WORDS) yield { type: "text-delta", text };
    begin();
    await waiting;
    for (const text of WORDS) yield { type: "text-delta", text };
    return [...WORDS, ...WORDS].join("");
  });
  await runtime.start();
  const { id } = await sessions.create("talker");
  return { runtime, id, begun, goOn };
}

async function textOfResponse(stream: ReplyStream): Promise<string> {
  let text = "";
  for (const frame of (await stream.toResponse().text()).split("\n\n")) {
    const data = frame
      .split("\n")
      .find((line) => line.startsWith("data: {"))
      ?.slice("data: ".length);
    const chunk = data === undefined ? {} : (JSON.parse(data) as { readonly type?: string; readonly delta?: string });
    if (chunk.type === "text-delta") text += chunk.delta ?? "";
  }
  return text;
}

describe("the response of a session turn whose reader lags", () => {
  const whole = [...WORDS, ...WORDS].join("");

  it("has the whole text once, though some of its deltas were not kept", async () => {
    const { runtime, id, begun, goOn } = await wordy();
    const stream = runtime.streamWithSession("talker", "go", id);
    await begun;
    goOn();
    await stream.reply;
    expect((await textOfResponse(stream)) === whole).toBe(true);
  });

  it("also where it attaches in the middle, and misses what was not kept before it came", async () => {
    const { runtime, id, begun, goOn } = await wordy();
    const running = runtime.callWithSession("talker", "go", id);
    await begun;
    const stream = (await runtime.attach(id)) as ReplyStream;
    const text = textOfResponse(stream);
    await new Promise((resolve) => setTimeout(resolve, 50));
    goOn();
    await running;
    expect((await text) === whole).toBe(true);
  });
});

describe("the response to a client that comes back in the middle of a step", () => {
  interface Chunk {
    readonly type: string;
    readonly toolCallId?: string;
    readonly input?: unknown;
  }
  async function chunksOf(stream: ReplyStream): Promise<readonly Chunk[]> {
    const frames = (await stream.toResponse().text()).split("\n");
    return frames.filter((line) => line.startsWith("data: {")).map((line) => JSON.parse(line.slice("data: ".length)) as Chunk);
  }

  it("has the calls of before it as they were, whose results are in it; on this node and on another, from each cursor", async () => {
    const backend = createMemoryBackend();
    const [here, there] = [0, 1].map(() => {
      const runtime = createRuntime(withSessionManager(createSessionManager({ backend })));
      runtimes.push(runtime);
      return runtime;
    }) as [Runtime, Runtime];
    const call = (toolCallId: string) => ({ type: "tool-call", toolCallId, toolName: "t", input: { of: toolCallId } }) as const;
    const result = (toolCallId: string) => ({
      type: "message" as const,
      message: {
        role: "tool" as const,
        parts: [{ type: "tool-result" as const, toolCallId, toolName: "t", output: { type: "text" as const, value: "r" } }],
      },
    });
    let goOn = (): void => {};
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    let begin = (): void => {};
    const begun = new Promise<void>((resolve) => (begin = resolve));
    for (const runtime of [here, there]) {
      runtime.register("caller", async function* () {
        yield { type: "message", message: { role: "assistant", parts: [call("old")] } };
        yield result("old");
        yield { type: "message", message: { role: "assistant", parts: [call("a"), call("b")] } };
        yield result("a");
        begin();
        await waiting;
        yield result("b");
        return "done";
      });
      await runtime.start();
    }
    const { id } = await createSessionManager({ backend }).create("caller");
    const running = here.streamWithSession("caller", "go", id);
    const cursors: string[] = [];
    const reading = (async () => {
      for await (const { cursor } of running) cursors.push(cursor);
    })();
    await begun;
    while (cursors.length < 4) await new Promise((resolve) => setTimeout(resolve, 1));
    const attached = [];
    for (const runtime of [here, there])
      for (const after of cursors.slice(0, 4)) attached.push(chunksOf((await runtime.attach(id, { after })) as ReplyStream));
    goOn();
    await reading;
    for (const [index, chunks] of (await Promise.all(attached)).entries()) {
      const inputs = chunks.filter(({ type }) => type === "tool-input-available");
      expect(inputs.map(({ toolCallId, input }) => [toolCallId, input])).toEqual(
        // Behind the first call, its result, both calls of the second step, one of their results.
        [["old", "a", "b"], ["a", "b"], ["a", "b"], ["b"]][index % 4]?.map((each) => [each, { of: each }]),
      );
      expect(chunks.at(-1)?.type).toBe("finish");
    }
  });
});
