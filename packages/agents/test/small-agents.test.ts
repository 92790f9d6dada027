import { setTimeout as delay } from "node:timers/promises";
import { createRuntime, type MessageInput, textOf, toMessage, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { describe, expect, it, vi } from "vitest";
import { createLoggerAgent, createProducerAgent, type ProducerOptions, type ProducerStatus, sequential } from "../src/index.ts";

async function until(done: () => boolean): Promise<void> {
  await vi.waitUntil(done, { timeout: 20_000, interval: 2 });
  expect(done()).toBe(true);
}

describe("a producer", () => {
  const texts: string[] = [];
  function producer(options: Partial<ProducerOptions>) {
    texts.length = 0;
    const send = (message: MessageInput): void => void texts.push(textOf(toMessage(message, "user")));
    const runtime = createRuntime().register(createProducerAgent({ name: "p", send, ...options }));
    const status = async (): Promise<ProducerStatus> => JSON.parse((await runtime.call("p", "?")).text) as ProducerStatus;
    return { runtime, status };
  }

  it("sends to a consumer while the runtime runs, on an interval, and not after it has stopped", async () => {
    const got: string[] = [];
    const runtime = createRuntime().register("consumer", (input) => (got.push(textOf(input)), "ok"));
    runtime.register(
      createProducerAgent({
        name: "p",
        everyMs: 1,
        produce: (count) => (count % 2 === 0 ? `tick ${count}` : undefined),
        send: (message, { signal }) => runtime.call("consumer", message, { signal }),
      }),
    );
    await runtime.start();
    await until(() => got.length >= 3);
    await runtime.stop();
    expect(got.slice(0, 3)).toEqual(["tick 0", "tick 2", "tick 4"]);
    const sent = got.length;
    await delay(20);
    expect(got).toHaveLength(sent);
    // And starts anew.
    await runtime.start();
    await until(() => got.length > sent);
    expect(got[sent]).toBe("tick 0");
    await runtime.stop();
  });

  it("sends what a source has, one at a time, then is done; the source is closed", async () => {
    let closed = false;
    let running = 0;
    async function* source() {
      try {
        for (const word of ["a", "b", "c"]) yield word;
      } finally {
        closed = true;
      }
    }
    const send = async (message: MessageInput): Promise<void> => {
      running += 1;
      expect(running).toBe(1);
      await delay(2);
      running -= 1;
      texts.push(message as string);
    };
    const { runtime, status } = producer({ source, send });
    await runtime.start();
    await until(() => texts.length === 3);
    await until(() => closed);
    expect(await status()).toEqual({ state: "done", sent: 3, failed: 0 });
    expect(texts).toEqual(["a", "b", "c"]);
    await runtime.stop();
  });

  it("ends after maxMessages and closes a source that has more", async () => {
    let closed = false;
    async function* endless() {
      try {
        for (;;) yield "x";
      } finally {
        closed = true;
      }
    }
    const { runtime, status } = producer({ source: endless, maxMessages: 5 });
    await runtime.start();
    await until(() => closed);
    expect(await status()).toMatchObject({ state: "done", sent: 5 });
    await runtime.stop();
  });

  it("loses a message that cannot be sent or made, and gives up after maxFailures in a row: then it is not ready", async () => {
    let sends = 0;
    const logged: string[] = [];
    const log = (entry: object, words: string): void => void logged.push(`${words} ${(entry as { error: string }).error}`);
    const logger = { debug: log, info: log, warn: log, error: log };
    const send = (): void => {
      sends += 1;
      if (sends !== 2) throw new TypeError("sk-secret");
    };
    const { runtime, status } = producer({ everyMs: 1, produce: () => "x", send, maxFailures: 3, logger });
    await runtime.start();
    await until(() => logged.length === 4);
    await expect(status()).rejects.toMatchObject({ code: "NOT_STARTED", message: expect.stringContaining("not ready") });
    expect(logged).toEqual([...Array<string>(3).fill("a producer lost a message TypeError"), "a producer gives up TypeError"]);
    expect(sends).toBe(5);
    await runtime.stop();
  });

  it("gives up at once when its source fails", async () => {
    const { runtime, status } = producer({
      // oxlint-disable-next-line require-yield -- a source that fails before its first message
      source: async function* () {
        throw new Error("gone");
      },
    });
    await runtime.start();
    for (let tries = 0; tries < 1000 && (await status().catch(() => undefined)) !== undefined; tries += 1) await delay(2);
    await expect(status()).rejects.toMatchObject({ code: "NOT_STARTED" });
    await runtime.stop();
  });

  it("stops although its source and its send ignore the signal", async () => {
    const never: Promise<never> = new Promise<never>(() => {});
    const silent = producer({ source: () => ({ [Symbol.asyncIterator]: () => ({ next: () => never }) }) });
    await silent.runtime.start();
    await silent.runtime.stop();
    let sends = 0;
    const stuck = producer({ everyMs: 1, produce: (): string => "x", send: (): Promise<never> => ((sends += 1), never) });
    await stuck.runtime.start();
    await until(() => sends === 1);
    await stuck.runtime.stop();
    expect(sends).toBe(1);
  });

  it.each([
    [{}, "give either source or everyMs"],
    [{ source: (): never[] => [], everyMs: 5, produce: (): string => "x" }, "give either source or everyMs"],
    [{ everyMs: 5 }, "everyMs and produce are given together"],
    [{ everyMs: 0, produce: (): string => "x" }, "everyMs must be whole milliseconds from 1 to 2147483647"],
    [{ everyMs: Infinity, produce: (): string => "x" }, "everyMs must be whole milliseconds from 1 to 2147483647"],
    [{ source: () => [], send: "x" }, "send must be a function"],
    [{ source: () => [], logger: {} }, "logger must be an object with debug"],
    [{ source: () => [], every: 5 }, "unknown option every"],
  ])("refuses %#", (options, words) => {
    expect(() => producer(options as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

describe("a logger agent", () => {
  const lines: [string, object][] = [];
  const at = (level: string) => (entry: object) => void lines.push([level, entry]);
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };

  it("logs kinds and sizes, never content, and answers with what it was given", async () => {
    lines.length = 0;
    await using sessions = createSessionManager({ backend: createMemoryBackend() });
    await using runtime = createRuntime(withSessionManager(sessions), { logger: { ...logger, debug: () => {} } }).register(
      createLoggerAgent({ name: "log" }),
    );
    await runtime.start();
    const session = await sessions.create("log");
    const parts = [
      { type: "text", text: "my secret" },
      { type: "data-x", data: 1 },
    ] as const;
    const reply = await runtime.callWithSession("log", { role: "user", parts }, session.id);
    expect(reply.message).toMatchObject({ role: "assistant", parts });
    const [line] = lines.filter(([, entry]) => (entry as { agent?: string }).agent === "log" && "parts" in entry);
    expect(line).toEqual([
      "info",
      { agent: "log", message: expect.any(String), parts: ["text", "data-x"], bytes: expect.any(Number), session: session.id },
    ]);
    expect(JSON.stringify(lines)).not.toContain("secret");
  });

  it("logs the text where it is asked to, cut, at its level, and sits between two others", async () => {
    lines.length = 0;
    await using runtime = createRuntime().register(createLoggerAgent({ name: "log", logger, level: "warn", content: true, maxBytes: 5 }));
    runtime
      .register("a", (input) => `a(${textOf(input)})`)
      .register("b", (input) => `b(${textOf(input)})`)
      .register("main", sequential(["a", "log", "b"]));
    await runtime.start();
    expect((await runtime.call("main", "héllo")).text).toBe("b(a(héllo))");
    expect(lines).toEqual([["warn", expect.objectContaining({ text: "a(hé" })]]);
  });

  it("refuses what is no option of it", () => {
    for (const [options, words] of [
      [{ name: "" }, "name"],
      [{ name: "l", level: "loud" }, "level must be one of debug"],
      [{ name: "l", logger: 5 }, "logger"],
      [{ name: "l", content: "yes" }, "content"],
    ] as const)
      expect(() => createLoggerAgent(options as never)).toThrowError(
        expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
      );
  });
});
