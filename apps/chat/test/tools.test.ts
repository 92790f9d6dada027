import type { AgentContext, Json, Message } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { createClock } from "../src/tools/clock.ts";
import { createNotes } from "../src/tools/notes.ts";
import { createSearch } from "../src/tools/search.ts";

type ToolContext = AgentContext & { readonly toolCallId: string };

/** A session's state whose reads and writes take a moment, as a store's do. */
class SlowState {
  value: Json | undefined;
  #calls = 0;

  context(toolCallId = `call-${this.#calls++}`): ToolContext {
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));
    return {
      toolCallId,
      session: { id: "s", turnId: "t", attempt: 1 },
      getState: async () => (await pause(), this.value),
      setState: async (value: Json) => {
        await pause();
        this.value = value;
      },
    } as unknown as ToolContext;
  }
}

const texts = (result: unknown): string[] => (result as { notes: { text: string }[] }).notes.map(({ text }) => text);

describe("notes", () => {
  it("loses none of several changes that are asked for at once", async () => {
    const notes = createNotes();
    const state = new SlowState();
    const results = await Promise.all(
      ["a", "b", "c", "d"].map(async (text) => notes.execute({ action: "add", text }, state.context() as never)),
    );
    expect(results.map((result) => texts(result).length)).toEqual([1, 2, 3, 4]);
    expect(texts(await notes.execute({ action: "list" }, state.context() as never))).toEqual(["a", "b", "c", "d"]);
  });

  it("applies a call that is run again after a crash once: an add, and a remove", async () => {
    const state = new SlowState();
    for (const text of ["a", "b", "c"]) await createNotes().execute({ action: "add", text }, state.context(text) as never);
    await createNotes().execute({ action: "add", text: "c" }, state.context("c") as never);
    await createNotes().execute({ action: "remove", number: 1 }, state.context("r") as never);
    expect(texts(await createNotes().execute({ action: "remove", number: 1 }, state.context("r") as never))).toEqual(["b", "c"]);
  });

  it("goes on after a change that failed, and says why it failed", async () => {
    const notes = createNotes();
    const state = new SlowState();
    const failed = notes.execute({ action: "remove", number: 3 }, state.context() as never) as Promise<Json>;
    const added = notes.execute({ action: "add", text: "a" }, state.context() as never) as Promise<Json>;
    await expect(failed).rejects.toThrow(/no note 3; there are 0/);
    expect(texts(await added)).toEqual(["a"]);
    await expect(notes.execute({ action: "add" }, state.context() as never)).rejects.toThrow(/needs text/);
  });

  it("keeps what else lies in the state, and takes a foreign state for no notes", async () => {
    const state = new SlowState();
    state.value = { theme: "dark", notes: "none" };
    await createNotes().execute({ action: "add", text: "a" }, state.context() as never);
    expect(state.value).toMatchObject({ theme: "dark", notes: [{ text: "a" }] });
  });

  it("is bounded", async () => {
    const state = new SlowState();
    state.value = { notes: Array.from({ length: 200 }, (_, index) => ({ text: String(index), addedAt: "" })) };
    await expect(createNotes().execute({ action: "add", text: "one more" }, state.context() as never)).rejects.toThrow(/200 notes already/);
  });
});

describe("clock", () => {
  it("tells the time of a zone, and refuses what is none", async () => {
    const clock = createClock(() => new Date("2026-11-22T16:00:00Z"));
    expect(await clock.execute({ timeZone: "Asia/Tokyo" }, new SlowState().context() as never)).toEqual({
      iso: "2026-11-22T16:00:00.000Z",
      timeZone: "Asia/Tokyo",
      date: expect.stringMatching(/^Monday,? 23 November 2026$/),
      time: "01:00",
    });
    await expect(async () => clock.execute({ timeZone: "Mars/Olympus" }, new SlowState().context() as never)).rejects.toThrow(
      /"Mars\/Olympus" is not a time zone/,
    );
  });
});

describe("search", () => {
  const said = (role: Message["role"], text: string, index = 0): Message => ({
    id: `m${index}`,
    role,
    parts: [{ type: "text", text }],
    timestamp: "2026-11-22T16:00:00.000Z",
  });
  const search = async (messages: readonly Message[], query: string): Promise<{ found: number; hits: { who: string; text: string }[] }> => {
    const context = {
      ...new SlowState().context(),
      history: async ({ roles }: { roles: string[] }) => messages.filter(({ role }) => roles.includes(role)),
    };
    return (await createSearch().execute({ query }, context as never)) as never;
  };

  it("finds messages with every word of the query, newest first", async () => {
    const result = await search(
      [said("user", "The garden gate is green"), said("assistant", "Green gardens are nice"), said("user", "My car is green")],
      "green garden",
    );
    expect(result.hits.map(({ text }) => text)).toEqual(["Green gardens are nice", "The garden gate is green"]);
  });

  it("shows five hits at most, tells how many there are, and cuts long texts around the word", async () => {
    const many = Array.from({ length: 9 }, (_, index) => said("user", `${"🙂".repeat(500)} needle ${index} ${"🙂".repeat(500)}`, index));
    const result = await search(many, "needle");
    expect(result.found).toBe(9);
    expect(result.hits).toHaveLength(5);
    for (const { text } of result.hits) {
      expect(text).toMatch(/^….*needle.*…$/);
      expect(Buffer.from(text).toString()).toBe(text);
    }
  });

  it("finds nothing for a query without a word", async () => {
    expect((await search([said("user", "?!")], "?!")).found).toBe(0);
  });
});
