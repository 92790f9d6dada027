import { describe, expect, it } from "vitest";
import type { Execute } from "../src/index.ts";
import { MAX_KEPT_EVENTS } from "../src/reply-stream.ts";
import { errorOf, gate, settle } from "./support.ts";
import { delta, framesOf, streamOf } from "./stream-readers.ts";

describe("the client of a response", () => {
  const endless = (ended: { open(): void }): Execute =>
    async function* () {
      try {
        for (let n = 0; ; n += 1) {
          yield delta(String(n));
          await settle();
        }
      } finally {
        ended.open();
      }
    };
  it("that disconnects has left the loop: a stateless call is cancelled, its agent cleans up", async () => {
    const ended = gate();
    const stream = await streamOf(endless(ended));
    const reader = (stream.toResponse().body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await reader.read();
    await reader.cancel();
    expect((await errorOf(stream.reply)).code).toBe("CANCELLED");
    await ended.promise;
  });
  it("that disconnects while nothing happens has left too", async () => {
    const stream = await streamOf(
      (_input, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
    );
    const reader = (stream.toResponse({ format: "sse" }).body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    const waiting = reader.read();
    await settle();
    await reader.cancel();
    expect((await waiting).done).toBe(true);
    expect((await errorOf(stream.reply)).code).toBe("CANCELLED");
  });
  it("is not the only reader: others go on", async () => {
    const stream = await streamOf(endless(gate()));
    const other = stream[Symbol.asyncIterator]();
    await other.next();
    const reader = (stream.toResponse().body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await reader.cancel();
    await settle();
    expect((await other.next()).done).toBe(false);
    await other.return?.();
  });
  it("that never reads costs a bounded number of events, and hinders nobody", async () => {
    const stream = await streamOf(async function* () {
      for (let n = 0; n < MAX_KEPT_EVENTS * 4; n += 1) yield delta("x".repeat(100));
      return "end";
    });
    const response = stream.toResponse({ format: "sse" });
    expect((await stream.reply).text).toBe("end");
    const frames = framesOf(await response.text());
    expect(frames.filter(({ event }) => event === "text-delta").length).toBe(MAX_KEPT_EVENTS);
    expect(frames.at(-1)?.event).toBe("done");
  });
  it("of several, each gets all of it", async () => {
    const stream = await streamOf(async function* () {
      yield delta("a");
      return "ab";
    });
    const [one, two] = await Promise.all([stream.toResponse().text(), stream.toResponse().text()]);
    expect(one).toBe(two);
  });
});
