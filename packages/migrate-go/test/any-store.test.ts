import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Json, type Message, type MessageDraft, textOf } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session } from "@aixgo/session";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exportGoStore, importGoStore, sessionIdOf } from "@aixgo/migrate-go";
import { contentsOf, goLine, goTime, readAsGo, tempFolder, writeGoSession } from "./support/go-store.ts";

const RUNS = process.env["AIXGO_LONG"] === undefined ? 60 : 1000;

/** What a line of the file is. */
const line = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("message" as const), parent: fc.nat(30), text: fc.string({ unit: "binary", maxLength: 20 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("double" as const), of: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("other" as const),
      type: fc.constantFrom("metadata", "checkpoint", "summary", "aixgo/head", "aixgo/state"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("raw" as const), bytes: fc.uint8Array({ maxLength: 30 }) }) },
);

const store = fc.record({
  lines: fc.array(line, { maxLength: 20 }),
  cut: fc.option(fc.nat(4000), { nil: undefined }),
  flips: fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: 1, max: 255 })), { maxLength: 2 }),
  leaf: fc.option(fc.nat(20), { nil: undefined }),
  updatedAt: fc.nat(30),
});

function bodyOf({ lines, cut, flips }: typeof store extends fc.Arbitrary<infer S> ? S : never): Buffer {
  const ids: string[] = [];
  const texts: Buffer[] = [];
  lines.forEach((each, index) => {
    const id = `e${index}`;
    const timestamp = goTime(index);
    // Any entry before it, or one that is not there.
    const parentOf = (nth: number): { parentId?: string } =>
      ids.length === 0 || nth % 7 === 0 ? {} : { parentId: nth === 30 ? "gone" : (ids[nth % ids.length] as string) };
    if (each.kind === "message") texts.push(Buffer.from(goLine({ id, timestamp, text: each.text, ...parentOf(each.parent) })));
    else if (each.kind === "double") texts.push(texts[each.of % Math.max(1, texts.length)] ?? Buffer.from(""));
    else if (each.kind === "other")
      texts.push(Buffer.from(goLine({ id, timestamp, type: each.type, data: { value: 1, label: "l" }, ...parentOf(index) })));
    else texts.push(Buffer.from(each.bytes));
    ids.push(id);
  });
  const body = Buffer.concat(texts.flatMap((text) => [text, Buffer.from("\n")]));
  for (const [at, mask] of flips) if (at < body.length) body[at] = (body[at] as number) ^ mask;
  return cut === undefined ? body : body.subarray(0, cut);
}

const plain = (messages: readonly Message[]): Json => JSON.parse(JSON.stringify(messages)) as Json;

describe("any store, however damaged", () => {
  it("is imported without an exception into sessions that are whole, once, and survives an export", async () => {
    await fc.assert(
      fc.asyncProperty(store, async (given) => {
        const from = tempFolder();
        const meta = { updatedAt: goTime(given.updatedAt), ...(given.leaf === undefined ? undefined : { currentLeaf: `e${given.leaf}` }) };
        const id = writeGoSession(from, "assistant", { body: bodyOf(given), meta });
        const checkpoints = join(from, "assistant", "checkpoints");
        writeFileSync(join(from, "assistant", "note.txt"), checkpoints);
        const before = contentsOf(from);

        const backend = createMemoryBackend();
        const report = await importGoStore({ from, to: backend });
        expect(report).toMatchObject({ imported: 1, skipped: 0, isSourceInUse: false });
        expect(await importGoStore({ from, to: backend })).toMatchObject({ imported: 0, present: 1, skipped: 0 });
        expect(contentsOf(from)).toEqual(before);

        const sessions = createSessionManager({ backend });
        const session = await sessions.get(sessionIdOf(id));
        expect((await session.verify()).problems).toEqual([]);
        const messages = await session.messages();
        expect(messages).toHaveLength(report.sessions[0]?.messages as number);

        const to = join(tempFolder(), "out");
        expect(await exportGoStore({ from: sessions, to })).toMatchObject({ exported: 1, skipped: 0 });
        expect(readAsGo(to)[id]?.messages?.map(({ ID }) => ID)).toEqual(messages.map((message) => message.id));
        const again = createMemoryBackend();
        const second = await importGoStore({ from: to, to: again });
        expect(second.sessions[0]?.notes).toEqual([]);
        const copy = await createSessionManager({ backend: again }).get(sessionIdOf(id));
        expect((await copy.verify()).problems).toEqual([]);
        expect(plain(await copy.messages())).toEqual(plain(messages));
      }),
      { numRuns: RUNS },
    );
  }, 600_000);
});

/** What a program does with a session. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("say" as const),
      role: fc.constantFrom("user" as const, "assistant" as const, "system" as const),
      text: fc.string({ unit: "grapheme", maxLength: 30 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("call" as const), input: fc.jsonValue({ maxDepth: 2 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("checkpoint" as const),
      label: fc.option(fc.string({ unit: "grapheme", maxLength: 10 }), { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("restore" as const), to: fc.nat(40) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("metadata" as const),
      metadata: fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const), state: fc.jsonValue({ maxDepth: 2 }) }) },
);

async function perform(session: Session, steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Promise<void> {
  const places: string[] = [];
  for (const each of steps) {
    if (each.do === "say") {
      const draft: MessageDraft = { role: each.role, parts: [{ type: "text", text: each.text }] };
      places.push(...(await session.append(draft)).messages.map(({ id }) => id));
    } else if (each.do === "call") {
      const call = { type: "tool-call" as const, toolCallId: "c", toolName: "t", input: each.input as Json };
      places.push(...(await session.append({ role: "assistant", parts: [call] })).messages.map(({ id }) => id));
    } else if (each.do === "checkpoint") places.push((await session.checkpoint(each.label === undefined ? {} : { label: each.label })).id);
    else if (each.do === "restore" && places.length > 0) await session.restore(places[each.to % places.length] as string);
    else if (each.do === "metadata") await session.setMetadata(each.metadata as { [key: string]: Json });
    else if (each.do === "turn")
      await session.turn("go", async (turn) => {
        await turn.setState(each.state as Json);
        return "done";
      });
  }
}

describe("any session of ours", () => {
  it("comes back from a Go store: history, checkpoints with their histories, state and metadata", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const manager = createSessionManager({ backend: createMemoryBackend() });
        const session = await manager.create("assistant", { userId: "ada" });
        await perform(session, steps);
        const to = join(tempFolder(), "out");
        expect(await exportGoStore({ from: manager, to })).toMatchObject({ exported: 1, skipped: 0 });
        const backend = createMemoryBackend();
        expect((await importGoStore({ from: to, to: backend })).sessions).toMatchObject([{ outcome: "imported", notes: [] }]);
        const copy = await createSessionManager({ backend }).get(session.id);
        expect((await copy.verify()).problems).toEqual([]);
        expect(plain(await copy.messages())).toEqual(plain(await session.messages()));
        const { importedFrom: _, ...metadata } = (await copy.info()).metadata;
        expect(metadata).toEqual((await session.info()).metadata);
        const marks = async (of: Session): Promise<string[]> =>
          (await of.checkpoints()).map(({ id, label }) => `${id} ${label ?? ""}`).sort();
        expect(await marks(copy)).toEqual(await marks(session));
        for (const { id } of await session.checkpoints()) {
          await session.restore(id);
          await copy.restore(id);
          expect((await copy.messages()).map((message) => textOf(message))).toEqual(
            (await session.messages()).map((message) => textOf(message)),
          );
        }
      }),
      { numRuns: RUNS },
    );
  }, 600_000);
});
