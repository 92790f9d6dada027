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
