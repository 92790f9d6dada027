import { type MessageDraft, textOf } from "@aixgo/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createMemoryStore } from "../src/memory-backend.ts";
import { createSessionManager, type Entry, type Session } from "../src/index.ts";
import { all, beforeAppend, texts, withCode } from "./turns.ts";

afterEach(() => void vi.useRealTimers());

const entriesOf = (session: Session): Promise<Entry[]> => all(session.entries());

/** One session on two nodes; what the first sends to the store passes through `wrap`. */
async function place(
  wrap: (backend: SessionBackend) => SessionBackend = (backend) => backend,
  rebaseMs = 5000,
): Promise<{ here: Session; there: Session }> {
  const store = createMemoryStore();
  const there = await createSessionManager({ backend: createMemoryBackend({ store }) }).create("x");
  const here = await createSessionManager({ backend: wrap(createMemoryBackend({ store })), rebaseMs }).get(there.id);
  return { here, there };
}

describe("an op", () => {
  it.each<[string, unknown]>([
    ["empty", ""],
    ["no text", 7],
    ["null", null],
    ["half of a letter", "a\ud800"],
    ["513 letters", "x".repeat(513)],
    ["257 letters of two bytes", "ü".repeat(257)],
  ])("that is %s is refused, and nothing is written", async (_, op) => {
    const { here } = await place();
    await expect(here.append("x", { op: op as string })).rejects.toThrow(
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining("512 bytes") as string }) as Error,
    );
    expect((await here.info()).version).toBe(0);
  });

  it.each(["x", "x".repeat(512), "ü".repeat(256), "\u0000"])("may be of 1 to 512 bytes", async (op) => {
    const { here, there } = await place();
    const first = await here.append("x", { op });
    expect(await there.append("x", { op })).toEqual(first);
    expect(texts(await there.messages())).toEqual(["x"]);
  });

  it("is written once, with the first message of its append; without one there is none", async () => {
    const { here } = await place();
    await here.append(["a", "b"], { op: "o" });
    await here.append("c");
    expect((await entriesOf(here)).slice(1).map(({ op, batch }) => [op, batch])).toEqual([
      ["u:o", [0, 2]],
      [undefined, [1, 2]],
      [undefined, undefined],
    ]);
  });

  it("is answered with what was stored then: version, ids, times and all messages", async () => {
    const { here, there } = await place();
    await here.append("before");
    const draft: MessageDraft = { role: "assistant", parts: [{ type: "text", text: "b" }], metadata: { x: 1 }, id: "mine" };
    const first = await here.append(["a", draft, "c"], { op: "o" });
    await there.append("after");
    for (const node of [here, there]) expect(await node.append(["a", draft, "c"], { op: "o" })).toEqual(first);
    expect([first.version, first.messages.map(textOf)]).toEqual([4, ["a", "b", "c"]]);
    expect(await here.messages()).toHaveLength(5);
  });

  it("at an earlier place is answered with the messages alone", async () => {
    const { here, there } = await place();
    const { messages } = await here.append(["one", "two"]);
    const options = { at: messages[0]?.id as string, op: "o" };
    const first = await here.append(["a", "b"], options);
    expect(await there.append(["a", "b"], options)).toEqual(first);
    expect([first.version, first.messages.map(textOf)]).toEqual([5, ["a", "b"]]);
  });

  it("right behind a restore of somebody is not taken for one at another place", async () => {
    const { here, there } = await place();
    const { messages } = await here.append(["one", "two"]);
    await here.restore(messages[0]?.id as string);
    const first = await here.append("a", { op: "o" });
    expect(await there.append("a", { op: "o" })).toEqual(first);
  });

  it.each<[string, readonly string[]]>([
    ["less", ["a"]],
    ["more", ["a", "b", "c"]],
    ["another beginning", ["x", "b"]],
    ["another end", ["a", "x"]],
  ])("with %s is another append", async (_, other) => {
    const { here, there } = await place();
    await here.append(["a", "b"], { op: "o" });
    await here.append("c");
    for (const node of [here, there])
      await expect(node.append(other, { op: "o" })).rejects.toThrow(
        expect.objectContaining({ code: "OP_REUSED", message: expect.stringContaining('op "o"') as string }) as Error,
      );
    expect(texts(await here.messages())).toEqual(["a", "b", "c"]);
  });

  it("keeps its expected version: an append that was made is no conflict, one that was not is", async () => {
    const { here, there } = await place();
    const first = await here.append("a", { op: "o", expectedVersion: 0 });
    expect(await there.append("a", { op: "o", expectedVersion: 0 })).toEqual(first);
    await expect(there.append("b", { op: "p", expectedVersion: 0 })).rejects.toThrow(withCode("VERSION_CONFLICT"));
    await expect(there.append("b", { op: "p", signal: AbortSignal.abort() })).rejects.toThrow(withCode("CANCELLED"));
    expect(texts(await there.messages())).toEqual(["a"]);
  });
});

describe("an append with an op while others write", () => {
  it("need not look again for what this node itself has written since", async () => {
    let searches = 0;
    let meanwhile: (() => Promise<unknown>) | undefined;
    const { here } = await place((backend) => ({
      ...backend,
      async find(...parameters) {
        searches += 1;
        const found = await backend.find(...parameters);
        const first = meanwhile;
        meanwhile = undefined;
        await first?.();
        return found;
      },
    }));
    await here.append("warm");
    meanwhile = () => here.append(["a", "b"]);
    const { version } = await here.append("c", { op: "o" });
    expect([version, searches]).toEqual([4, 1]);
    expect(texts(await here.messages())).toEqual(["warm", "a", "b", "c"]);
  });

  it("finds what another node has written with the same op since it looked", async () => {
    const between = beforeAppend();
    const { here, there } = await place(between.wrap);
    await here.append("warm");
    let theirs: unknown;
    between.next = async () => (theirs = await there.append(["a", "b"], { op: "o" }));
    expect(await here.append(["a", "b"], { op: "o" })).toEqual(theirs);
    between.next = () => there.append("other");
    await here.append("c", { op: "p" });
    between.next = () => there.append("their own", { op: "q" });
    await expect(here.append("mine", { op: "q" })).rejects.toThrow(withCode("OP_REUSED"));
    expect(texts(await there.messages())).toEqual(["warm", "a", "b", "other", "c", "their own"]);
    expect((await there.verify()).problems).toEqual([]);
  });

  it("gives up when others are faster for longer than it may try, not before", async () => {
    let rounds = 0;
    let others: Session | undefined;
    const { here, there } = await place(
      (backend) => ({
        ...backend,
        async append(...parameters) {
          rounds += 1;
          if (vi.isFakeTimers()) vi.advanceTimersByTime(90);
          // They stop some day, long after this one should have given up.
          if (rounds < 20) await others?.setMetadata({ rounds });
          return backend.append(...parameters);
        },
      }),
      400,
    );
    others = there;
    // No time passes but what an attempt takes.
    vi.useFakeTimers({ toFake: ["performance"] });
    await expect(here.append("x", { op: "o" })).rejects.toThrow(
      expect.objectContaining({ code: "SESSION_BUSY", message: expect.stringContaining("400 ms") as string }) as Error,
    );
    expect(rounds).toBe(5);
    others = undefined;
    vi.useRealTimers();
    await here.append("x", { op: "o" });
    expect(texts(await there.messages())).toEqual(["x"]);
  });

  it("passes on what else the store answers", async () => {
    const { here } = await place((backend) => ({ ...backend, append: () => Promise.reject(new Error("the store's own")) }));
    await expect(here.append("x", { op: "o" })).rejects.toThrow("the store's own");
  });
});
