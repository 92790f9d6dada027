import { createHash, randomBytes } from "node:crypto";
import { createRuntime, type FilePart, type Message, type MessageInput, type Part, textOf, withSessionManager } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { BlobStore, SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createMemoryStore, createSessionManager, type Session, type SessionManager } from "../src/index.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const KIB = 1024;
const digestOf = (bytes: Uint8Array): string => `sha256-${createHash("sha256").update(bytes).digest("hex")}`;
const addressOf = (bytes: Uint8Array): string => `attachment:${digestOf(bytes)}`;
const dataUrl = (bytes: Uint8Array, mediaType = "image/png"): string => `data:${mediaType};base64,${Buffer.from(bytes).toString("base64")}`;
const file = (url: string, mediaType = "image/png"): FilePart => ({ type: "file", mediaType, url, filename: "a.png" });
const user = (...parts: Part[]): MessageInput => ({ role: "user", parts });
const urls = (messages: readonly Message[]): string[] =>
  messages.flatMap(({ parts }) => parts.flatMap((part) => (part.type === "file" ? [part.url] : [])));
async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
const big = randomBytes(300 * KIB);

async function start(
  backend: SessionBackend = createMemoryBackend(),
): Promise<{ backend: SessionBackend; sessions: SessionManager; s: Session; stored(): Promise<number> }> {
  const sessions = createSessionManager({ backend });
  const s = await sessions.create("x");
  const stored = async (): Promise<number> => {
    // A copy would be cleaner than collecting, but only collecting counts.
    let count = 0;
    const { incarnation } = await backend.head(s.id);
    for (const each of known) if (await backend.blobs?.touch({ id: s.id, incarnation }, digestOf(each))) count += 1;
    return count;
  };
  const known: Uint8Array[] = [big];
  return { backend, sessions, s, stored };
}

describe("an append", () => {
  it("keeps data of more than 256 KiB beside the log, and gives it back whole, streamed or inline", async () => {
    const { s, sessions } = await start();
    const edge = randomBytes(256 * KIB);
    const { messages } = await s.append(user({ type: "text", text: "look" }, file(dataUrl(big)), file(dataUrl(edge))));
    expect(urls(messages)).toEqual([addressOf(big), dataUrl(edge)]);
    expect(await s.messages()).toEqual(messages);
    expect((await s.info()).version).toBe(1);
    for await (const { data } of s.entries({ after: 0 })) expect(JSON.stringify(data).length).toBeLessThan(400 * KIB);
    expect((await bytesOf(s.attachment(addressOf(big)))).equals(big)).toBe(true);
    expect(urls(await s.messages({ attachments: "inline" }))).toEqual([dataUrl(big), dataUrl(edge)]);
    for await (const message of s.readMessages({ attachments: "inline" })) expect(message.parts[1]).toEqual(file(dataUrl(big)));
    expect((await s.verify()).problems).toEqual([]);
    await sessions.close();
  });

  it("takes a message that is longer than a line, as long as what stays of it is not", async () => {
    const { s, sessions } = await start(createMemoryBackend({ maxLineBytes: 512 * KIB }));
    const images = Array.from({ length: 4 }, () => randomBytes(2048 * KIB));
    const { messages } = await s.append(user(...images.map((bytes) => file(dataUrl(bytes)))));
    expect(urls(messages)).toEqual(images.map(addressOf));
    await expect(s.append(user(...Array.from({ length: 3 }, () => file(dataUrl(randomBytes(250 * KIB))))))).rejects.toEqual(
      withCode("LIMIT_EXCEEDED"),
    );
    await sessions.close();
  });

  it("finds data inside of tool results", async () => {
    const { s, sessions } = await start();
    const result = (url: string): Part => ({
      type: "tool-result",
      toolCallId: "1",
      toolName: "t",
      output: { type: "content", value: [file(url)] },
    });
    await s.append([
      { role: "assistant", parts: [{ type: "tool-call", toolCallId: "1", toolName: "t", input: {} }] },
      { role: "tool", parts: [result(dataUrl(big))] },
    ]);
    expect((await s.messages())[1]?.parts).toEqual([result(addressOf(big))]);
    const [, whole] = await s.messages({ attachments: "inline" });
    expect(whole?.parts).toEqual([result(dataUrl(big))]);
    const part = whole?.parts[0] as unknown as { output: { value: object[] } } | undefined;
    expect(Object.isFrozen(part?.output.value[0])).toBe(true);
    await sessions.close();
  });

  it.each([
    [
      "percent-encoded",
      (bytes: Buffer) =>
        `data:text/plain,${bytes.toString("latin1").replaceAll(/[^a-z]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, "0")}`)}`,
    ],
    ["base64 with white space", (bytes: Buffer) => `data:text/plain;base64,${bytes.toString("base64").replaceAll(/(.{76})/g, "$1\n")}`],
    [
      "base64 without padding, with parameters",
      (bytes: Buffer) => `DATA:text/plain;charset=utf-8;Base64,${bytes.toString("base64").replaceAll("=", "")}`,
    ],
  ])("understands %s", async (_, address) => {
    const { s, sessions } = await start();
    await s.append(user(file(address(big), "text/plain")));
    expect(urls(await s.messages())).toEqual([addressOf(big)]);
    expect((await bytesOf(s.attachment(addressOf(big)))).equals(big)).toBe(true);
    await sessions.close();
  });

  it.each([
    ["no comma", `data:image/png;base64${"A".repeat(400 * KIB)}`],
    ["letters that base64 has not", `data:image/png;base64,${"A".repeat(400 * KIB)}*`],
    ["base64 whose last letter has bits too many", `data:image/png;base64,${"A".repeat(400 * KIB)}AB`],
    ["a percent sign without a number", `data:text/plain,${"a".repeat(400 * KIB)}%zz`],
    ["another scheme", `https://example.org/${"a".repeat(400 * KIB)}`],
  ])("leaves what it does not understand as it is: %s", async (_, url) => {
    const { s, sessions } = await start();
    await s.append(user(file(url)));
    expect(urls(await s.messages())).toEqual([url]);
    await sessions.close();
  });

  it("puts the bytes before the entry, once for the same bytes, and keeps the order of appends", async () => {
    const real = createMemoryBackend();
    const events: string[] = [];
    const blobs = real.blobs as BlobStore;
    const { s, sessions } = await start({
      ...real,
      blobs: {
        ...blobs,
        async put(...given) {
          const digest = await blobs.put(...given);
          await new Promise((resolve) => setTimeout(resolve, 20));
          events.push("put");
          return digest;
        },
      },
      append: async (...given) => {
        events.push("append");
        return real.append(...given);
      },
    });
    await Promise.all([s.append("1"), s.append(user({ type: "text", text: "2" }, file(dataUrl(big)))), s.append("3"), s.append("4")]);
    expect((await s.messages()).map(textOf)).toEqual(["1", "2", "3", "4"]);
    expect(events.slice(0, 3)).toEqual(["append", "put", "append"]);
    await s.append(user(file(dataUrl(big)), file(addressOf(big))));
    expect(await s.collectAttachments({ olderThanMs: 0 })).toEqual({ removed: 0 });
    await sessions.close();
  });

  it("writes nothing if the bytes cannot be stored, are too many, or are not there", async () => {
    const real = createMemoryBackend();
    let fails = true;
    const blobs: BlobStore = {
      ...(real.blobs as BlobStore),
      put: async (...given) => {
        if (fails) throw new Error("the disk is gone");
        return (real.blobs as BlobStore).put(...given);
      },
    };
    const { s, sessions } = await start({ ...real, blobs });
    await expect(s.append(user(file(dataUrl(big))))).rejects.toThrow("the disk is gone");
    await expect(s.append(["fine", user(file(dataUrl(Buffer.alloc(64 * KIB * KIB + 1))))])).rejects.toEqual(withCode("LIMIT_EXCEEDED"));
    await expect(s.append(user(file(addressOf(big))))).rejects.toEqual(withCode("ENTRY_NOT_FOUND"));
    await expect(s.append(user(file("attachment:sha256-x")))).rejects.toEqual(withCode("INVALID_INPUT"));
    expect((await s.info()).version).toBe(0);
    fails = false;
    await s.append(user(file(dataUrl(big))));
    await s.append("and on");
    expect((await s.info()).version).toBe(2);
    await sessions.close();
  });

  it("with an op is the same append, whether its data is given or named", async () => {
    const { s, sessions } = await start();
    const first = await s.append(user(file(dataUrl(big))), { op: "1" });
    expect(await s.append(user(file(dataUrl(big))), { op: "1" })).toEqual(first);
    expect(await s.append(user(file(addressOf(big))), { op: "1" })).toEqual(first);
    await sessions.close();
  });

  it("keeps everything inline where the store has no attachments, up to the limit of a line", async () => {
    const { blobs: _, ...backend } = createMemoryBackend();
    const { s, sessions } = await start(backend);
    await s.append(user(file(dataUrl(big))));
    expect(urls(await s.messages())).toEqual([dataUrl(big)]);
    const part = await s.attach(big, { mediaType: "image/png" });
    expect(part).toEqual({ type: "file", mediaType: "image/png", url: dataUrl(big) });
    await expect(s.attach(Buffer.alloc(13 * KIB * KIB), { mediaType: "image/png" })).rejects.toEqual(withCode("LIMIT_EXCEEDED"));
    await expect(bytesOf(s.attachment(addressOf(big)))).rejects.toEqual(withCode("ENTRY_NOT_FOUND"));
    expect(await s.collectAttachments()).toEqual({ removed: 0 });
    expect((await s.verify()).problems).toEqual([]);
    await sessions.close();
  });
});

describe("attach", () => {
  it("streams content into the store and gives the part that names it", async () => {
    const { s, sessions } = await start();
    async function* stream(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < big.length; at += 1000) yield big.subarray(at, at + 1000);
    }
    const part = await s.attach(stream(), { mediaType: "image/png", filename: "a.png" });
    expect(part).toEqual(file(addressOf(big)));
    expect(await s.attach(big, { mediaType: "image/png" })).toEqual({ type: "file", mediaType: "image/png", url: addressOf(big) });
    await s.append(user(part));
    expect((await bytesOf(s.attachment(part.url))).equals(big)).toBe(true);
    await expect(s.attach(big, {} as never)).rejects.toEqual(withCode("INVALID_OPTION"));
    await expect(s.attach(["text"] as never, { mediaType: "a/b" })).rejects.toEqual(withCode("INVALID_INPUT"));
    await expect(s.attach(stream(), { mediaType: "a/b", signal: AbortSignal.abort() })).rejects.toEqual(withCode("CANCELLED"));
    await sessions.close();
  });

  it("what no entry ever named is collected once it is old; what is named stays, on every branch and in the state", async () => {
    const { s, sessions } = await start();
    const [named, branch, state, unnamed] = ["named", "branch", "state", "unnamed"].map((text) => Buffer.from(text)) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    const parts = await Promise.all([named, branch, state, unnamed].map((bytes) => s.attach(bytes, { mediaType: "text/plain" })));
    const { messages } = await s.append(user(parts[0] as Part));
    await s.append(user(parts[1] as Part));
    await s.restore((messages[0] as Message).id);
    await s.turn("go", async (turn) => {
      await turn.setState({ picture: (parts[2] as FilePart).url });
      return "done";
    });
    expect(await s.collectAttachments()).toEqual({ removed: 0 });
    expect(await s.collectAttachments({ olderThanMs: 0 })).toEqual({ removed: 1 });
    for (const bytes of [named, branch, state]) expect((await bytesOf(s.attachment(addressOf(bytes)))).equals(bytes)).toBe(true);
    await expect(bytesOf(s.attachment(addressOf(unnamed)))).rejects.toEqual(withCode("ENTRY_NOT_FOUND"));
    await expect(s.collectAttachments({ olderThanMs: -1 })).rejects.toEqual(withCode("INVALID_OPTION"));
    await sessions.close();
  });
});

describe("attachments", () => {
  it("belong to their session, go with it, and are copied to its forks", async () => {
    const { s, sessions } = await start();
    const other = await sessions.create("x");
    await s.append(user(file(dataUrl(big))));
    const left = await s.append(user(file(dataUrl(randomBytes(300 * KIB)))));
    await expect(bytesOf(other.attachment(addressOf(big)))).rejects.toEqual(withCode("ENTRY_NOT_FOUND"));
    await expect(other.append(await s.messages())).rejects.toEqual(withCode("ENTRY_NOT_FOUND"));
    const fork = await s.fork({ at: ((await s.messages())[0] as Message).id });
    await sessions.delete(s.id);
    await expect(bytesOf(s.attachment(addressOf(big)))).rejects.toEqual(withCode("SESSION_DELETED"));
    expect(urls(await fork.messages({ attachments: "inline" }))).toEqual([dataUrl(big)]);
    await expect(bytesOf(fork.attachment(urls(left.messages)[0] as string))).rejects.toEqual(withCode("ENTRY_NOT_FOUND"));
    expect((await fork.verify()).problems).toEqual([]);
    await sessions.close();
  });

  it("that are damaged or lost are told to readers and by verify, and do not keep an agent from going on", async () => {
    const real = createMemoryBackend();
    const blobs = real.blobs as BlobStore;
    let damage: "flip" | "cut" | "lose" | undefined;
    const { s, sessions } = await start({
      ...real,
      blobs: {
        ...blobs,
        async *get(ref, digest, options) {
          if (damage === "lose") yield* blobs.get(ref, digestOf(Buffer.from("another")), options);
          let isFirst = true;
          for await (const chunk of blobs.get(ref, digest, options)) {
            if (damage === "flip" && isFirst) chunk[7] = (chunk[7] as number) ^ 1;
            if (damage !== "cut" || !isFirst) yield chunk;
            isFirst = false;
          }
        },
      },
    });
    await s.append(user(file(dataUrl(big))));
    for (const [kind, code] of [
      ["flip", "ENTRY_CORRUPT"],
      ["cut", "ENTRY_CORRUPT"],
      ["lose", "ENTRY_NOT_FOUND"],
    ] as const) {
      damage = kind;
      await expect(bytesOf(s.attachment(addressOf(big)))).rejects.toEqual(withCode(code));
      await expect(s.messages({ attachments: "inline" })).rejects.toEqual(withCode(code));
      expect((await s.verify()).problems).toEqual([{ seq: 1, code, message: expect.any(String) as string }]);
      await s.turn("go on", async (turn) => {
        expect(urls(await turn.history({ roles: ["user"] }))[0]).toBe(addressOf(big));
        return "gone on";
      });
    }
    await sessions.close();
  });

  it("are shown to agents as data in the input, the history and the steps, and named in what is stored and answered", async () => {
    const store = createMemoryStore();
    const sessions = createSessionManager({ backend: createMemoryBackend({ store }) });
    const s = await sessions.create("painter");
    const seen: string[][] = [];
    const picture = randomBytes(300 * KIB);
    const runtime = createRuntime(withSessionManager(sessions)).register("painter", async (input, context) => {
      if ((await context.steps()).length === 0)
        await context.emit({ type: "message", message: { role: "assistant", parts: [file(dataUrl(picture))] } });
      seen.push(urls([...(await context.history()), input, ...(await context.steps())]));
      return { role: "assistant", parts: [file(dataUrl(picture))] };
    });
    await runtime.start();
    const reply = await runtime.callWithSession("painter", { role: "user", parts: [file(dataUrl(big))] }, s.id, { turnKey: "1" });
    expect(urls([reply.message])).toEqual([addressOf(picture)]);
    const again = await runtime.callWithSession("painter", { role: "user", parts: [file(dataUrl(big))] }, s.id, { turnKey: "1" });
    expect(again).toMatchObject({ message: reply.message, turn: { replayed: true } });
    await runtime.callWithSession("painter", "more", s.id);
    expect(seen).toEqual([
      [dataUrl(big), dataUrl(picture)],
      [dataUrl(big), dataUrl(picture), dataUrl(picture), dataUrl(picture)],
    ]);
    expect(urls(await s.messages())).toEqual([addressOf(big), ...Array.from({ length: 4 }, () => addressOf(picture))]);
    await runtime.stop();
    await sessions.close();
  });

  it("larger than 8 MiB stay named for agents, as do the oldest of more than 32 MiB", async () => {
    const { s, sessions } = await start();
    const large = Buffer.alloc(8 * KIB * KIB + 1, 1);
    const five = Array.from({ length: 5 }, (_, index) => Buffer.alloc(8 * KIB * KIB, 2 + index));
    for (const bytes of [...five, large]) await s.append(user(await s.attach(bytes, { mediaType: "image/png" })));
    await s.turn("look", async (turn) => {
      const shown = urls(await turn.history());
      expect(shown.map((url) => url.slice(0, 5))).toEqual(["attac", "data:", "data:", "data:", "data:", "attac"]);
      expect(shown[4] === dataUrl(five[4] as Buffer)).toBe(true);
      expect(urls(await turn.history())).toEqual(shown);
      return "seen";
    });
    await sessions.close();
  });

  it("do not change the order in which a turn writes what it does not wait for", async () => {
    const { s, sessions } = await start();
    await s.turn("go", async (turn) => {
      await Promise.all([turn.append("1"), turn.setState({ a: 1 }), turn.append(user(file(dataUrl(big)))), turn.append("2")]);
      return "3";
    });
    const types: string[] = [];
    for await (const entry of s.entries({ after: 2 }))
      types.push(entry.type === "message" ? (entry.data as { role: string }).role : entry.type);
    expect(types).toEqual(["assistant", "state", "user", "assistant", "assistant", "turn"]);
    await sessions.close();
  });

  it("of an input that is refused for a turn are no reason to write anything", async () => {
    const { s, sessions, stored } = await start();
    let end = (_: string): void => undefined;
    let running: Promise<unknown> | undefined;
    await new Promise<void>((begun) => {
      running = s.turn("one", () => {
        begun();
        return new Promise<string>((resolve) => (end = resolve));
      });
    });
    await expect(s.turn(user(file(dataUrl(big))), async () => "never", { ifBusy: "reject" })).rejects.toEqual(withCode("SESSION_BUSY"));
    expect(await stored()).toBe(0);
    end("done");
    await running;
    await sessions.close();
  });
});
