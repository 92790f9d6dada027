import { createHash, randomBytes } from "node:crypto";
import { createSessionManager } from "@aixgo/session";
import type { BlobStore, SessionBackend } from "@aixgo/session/backend";
import { createLog, type LogBuilder, message } from "@aixgo/session-testkit";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { appended, codeOf, errorOf, newPrefix, opened, started } from "./support/sessions.ts";

const MIB = 1024 * 1024;
let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

function blobsOf({ blobs }: SessionBackend): BlobStore {
  if (blobs === undefined) throw new Error("the backend has no blobs");
  return blobs;
}

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

function digestOf(bytes: Uint8Array): string {
  return `sha256-${createHash("sha256").update(bytes).digest("hex")}`;
}

async function put(backend: SessionBackend, { ref }: Pick<LogBuilder, "ref">, bytes: Uint8Array): Promise<string> {
  return blobsOf(backend).put(ref, digestOf(bytes), chunks(bytes));
}

async function got(backend: SessionBackend, { ref }: Pick<LogBuilder, "ref">, digest: string): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const chunk of blobsOf(backend).get(ref, digest)) found.push(chunk);
  return Buffer.concat(found);
}

/** Keys of a session as the server has them. */
async function keysOf(prefix: string, { ref: { id } }: Pick<LogBuilder, "ref">, cli = redis.cli): Promise<readonly string[]> {
  const found = (await cli("KEYS", `${prefix}{${id}}*`)).trim();
  return found === ""
    ? []
    : found
        .split("\n")
        .map((key) => key.slice(`${prefix}{${id}}:`.length))
        .toSorted();
}

describe("attachments in the store", () => {
  it("are lists of chunks that block nobody, under the names that the README gives", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend);
    const bytes = randomBytes(3 * MIB + 17);
    const digest = await put(backend, log, bytes);
    expect(await keysOf(prefix, log)).toEqual(["blobs", `blobs:${digest}`, "head", "lines", "marks"]);
    const client = new Redis(redis.port, "127.0.0.1");
    onTestFinished(() => client.disconnect());
    const stored = await client.lrangeBuffer(`${prefix}{${log.ref.id}}:blobs:${digest}`, 0, -1);
    expect(Math.max(...stored.map(({ length }) => length))).toBeLessThanOrEqual(512 * 1024);
    expect(Buffer.concat(stored).equals(bytes)).toBe(true);
    expect((await got(backend, log, digest)).equals(bytes)).toBe(true);
  });

  it("go through the session layer: large content is stored beside the log, read inline, and collected when nothing names it", async () => {
    const manager = createSessionManager({ backend: opened({ url: redis.url, keyPrefix: newPrefix() }) });
    const session = await manager.create("helper");
    const bytes = randomBytes(MIB);
    const url = `data:image/png;base64,${bytes.toString("base64")}`;
    await session.append({ role: "user", parts: [{ type: "file", mediaType: "image/png", url }] });
    const [stored] = await session.messages();
    expect(JSON.stringify(stored).length).toBeLessThan(2_000);
    const [inline] = await session.messages({ attachments: "inline" });
    expect(inline?.parts[0]).toMatchObject({ url });
    const fork = await session.fork();
    expect((await fork.messages({ attachments: "inline" }))[0]?.parts[0]).toMatchObject({ url });
    expect(await manager.delete(session.id)).toBe(true);
    expect((await fork.messages({ attachments: "inline" }))[0]?.parts[0]).toMatchObject({ url });
  });

  it("have a limit, an option: one byte more is LIMIT_EXCEEDED and leaves nothing behind", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, maxBlobBytes: MIB });
    expect(backend.capabilities.maxBlobBytes).toBe(MIB);
    const log = await started(backend);
    const most = randomBytes(MIB);
    const digest = await put(backend, log, most);
    expect((await got(backend, log, digest)).equals(most)).toBe(true);
    const error = await errorOf(blobsOf(backend).put(log.ref, undefined, chunks(most, Uint8Array.of(1))));
    expect(error.code).toBe("LIMIT_EXCEEDED");
    expect(error.message).toContain(String(MIB));
    expect(await keysOf(prefix, log)).toEqual(["blobs", `blobs:${digest}`, "head", "lines", "marks"]);
  });

  it("on their way are seen by nobody, expire soon, and are gone at once when the source fails", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend);
    const bytes = randomBytes(MIB);
    const failure = new Error("the source failed");
    const putting = blobsOf(backend).put(
      log.ref,
      undefined,
      (async function* () {
        yield bytes;
        const staged = (await keysOf(prefix, log)).filter((key) => key.startsWith("staging:"));
        expect(staged).toHaveLength(1);
        const left = Number(await redis.cli("PTTL", `${prefix}{${log.ref.id}}:${staged[0]}`));
        expect(left).toBeGreaterThan(0);
        expect(left).toBeLessThanOrEqual(600_000);
        expect(await codeOf(got(backend, log, digestOf(bytes)))).toBe("ENTRY_NOT_FOUND");
        throw failure;
      })(),
    );
    await expect(putting).rejects.toBe(failure);
    expect(await keysOf(prefix, log)).toEqual(["head", "lines", "marks"]);
  });

  it("on their way that expire before the last chunk are refused, and nothing is stored", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend);
    const bytes = randomBytes(MIB);
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes;
      for (const key of await keysOf(prefix, log))
        if (key.startsWith("staging:")) await redis.cli("DEL", `${prefix}{${log.ref.id}}:${key}`);
      yield bytes;
    };
    const error = await errorOf(blobsOf(backend).put(log.ref, undefined, body()));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.message).toContain("Try again");
    expect(await keysOf(prefix, log)).toEqual(["head", "lines", "marks"]);
  });

  it("go with their session: a delete, also of a damaged one, leaves the tombstone alone", async () => {
    for (const damaged of [false, true]) {
      const prefix = newPrefix();
      const backend = opened({ url: redis.url, keyPrefix: prefix });
      const log = await started(backend);
      await put(backend, log, randomBytes(MIB));
      await put(backend, log, randomBytes(10));
      if (damaged) await redis.cli("DEL", `${prefix}{${log.ref.id}}:head`);
      await backend.delete(log.ref, { erase: damaged });
      expect(await keysOf(prefix, log)).toEqual(["head"]);
    }
  });
});

describe("attachments of sessions with a time to live", () => {
  it("expire with all other keys of their session, at one moment", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, ttlMs: 60_000 });
    const lasting = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend);
    const expiries = async (of = log): Promise<ReadonlySet<number>> => {
      const keys = await keysOf(prefix, of);
      return new Set(await Promise.all(keys.map(async (key) => Number(await redis.cli("PEXPIRETIME", `${prefix}{${of.ref.id}}:${key}`)))));
    };
    const [before] = await expiries();
    const kept = await put(backend, log, randomBytes(600_000));
    await put(lasting, log, randomBytes(10));
    await put(backend, log, new Uint8Array(0));
    const [after] = await expiries();
    expect(await expiries()).toEqual(new Set([after]));
    // To store an attachment is no append: the session does not live longer.
    expect(Math.abs((after as number) - (before as number))).toBeLessThan(1_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await appended(backend, log, message("one"));
    const [later] = await expiries();
    expect(await expiries()).toEqual(new Set([later]));
    expect(later).toBeGreaterThan(after as number);
    await appended(lasting, log, message("two"));
    expect(await expiries()).toEqual(new Set([later]));

    const fork = createLog();
    await backend.create({
      ref: fork.ref,
      info: fork.info,
      async *lines() {
        yield* fork.lines;
      },
      blobs: () => ({ from: log.ref, digests: new Set([kept]) }),
    });
    expect(await keysOf(prefix, fork)).toContain(`blobs:${kept}`);
    expect((await expiries(fork)).size).toBe(1);
    expect([...(await expiries(fork))][0]).toBeGreaterThan(0);
    const next = createLog({ id: log.ref.id });
    await backend.rewrite(log.ref, {
      expect: log.position,
      next: next.ref,
      lines: (async function* () {
        yield* next.lines;
      })(),
      blobs: () => new Set([kept]),
    });
    expect(await keysOf(prefix, next)).toEqual(["blobs", `blobs:${kept}`, "head", "lines", "marks"]);
    expect((await expiries()).size).toBe(1);
    for (const key of await keysOf(prefix, log)) await redis.cli("PEXPIRE", `${prefix}{${log.ref.id}}:${key}`, "1");
    await expect.poll(() => codeOf(got(backend, next, kept))).toBe("SESSION_NOT_FOUND");
  });
});

describe("attachments that something else has changed", () => {
  it("a lost chunk is ENTRY_CORRUPT that names the key, not a part of the bytes; stored again, it is whole", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend);
    const bytes = randomBytes(MIB);
    const digest = await put(backend, log, bytes);
    const key = `${prefix}{${log.ref.id}}:blobs:${digest}`;
    for (const damage of [
      ["LTRIM", key, "0", "-2"],
      ["DEL", key],
    ]) {
      await redis.cli(...damage);
      const error = await errorOf(got(backend, log, digest));
      expect(error.code).toBe("ENTRY_CORRUPT");
      expect(error.message).toContain(`blobs:${digest}`);
      expect(await blobsOf(backend).touch(log.ref, digest)).toBe(false);
      await put(backend, log, bytes);
      expect((await got(backend, log, digest)).equals(bytes)).toBe(true);
    }
    // The log goes on whatever becomes of an attachment.
    await redis.cli("DEL", key);
    await appended(backend, log, message("one"));
  });

  it("changed bytes are found by whoever reads them through a session", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const session = await createSessionManager({ backend }).create("helper");
    const { url } = await session.attach(randomBytes(MIB), { mediaType: "image/png" });
    const key = `${prefix}{${session.id}}:blobs:${url.slice("attachment:".length)}`;
    await redis.cli("LSET", key, "1", "x".repeat(256 * 1024));
    const reading = (async () => {
      for await (const _ of session.attachment(url));
    })();
    expect(await codeOf(reading)).toBe("ENTRY_CORRUPT");
  });

  it("keys of another type are ENTRY_CORRUPT that names them, and a delete removes them all the same", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, ttlMs: 60_000 });
    const log = await started(backend);
    const bytes = randomBytes(10);
    const digest = await put(backend, log, bytes);
    const key = `${prefix}{${log.ref.id}}:blobs`;
    await redis.cli("DEL", `${key}:${digest}`);
    await redis.cli("SADD", `${key}:${digest}`, "foreign");
    for (const call of [() => got(backend, log, digest), () => put(backend, log, bytes), () => blobsOf(backend).touch(log.ref, digest)]) {
      const error = await errorOf(call());
      expect(error.code).toBe("ENTRY_CORRUPT");
      expect(error.message).toContain(`key blobs:${digest}`);
    }
    await redis.cli("DEL", key);
    await redis.cli("SADD", key, "foreign");
    const { position } = log;
    for (const call of [
      () => got(backend, log, digest),
      () => put(backend, log, bytes),
      () => blobsOf(backend).collect(log.ref, new Set(), 0),
      () => backend.append(log.ref, { expect: position, lines: log.branch().add(message("one")) }),
    ]) {
      const error = await errorOf(call());
      expect(error.code).toBe("ENTRY_CORRUPT");
      expect(error.message).toContain("key blobs ");
    }
    expect((await backend.head(log.ref.id)).seq).toBe(position.seq);
    await backend.delete(log.ref);
    expect(await redis.cli("EXISTS", key)).toBe("0");
  });
});

describe("attachments and faults", () => {
  it("a server whose memory is full refuses, keeps what it has, and drops what was on its way", async () => {
    const full = await startRedis({ args: ["--maxmemory", "16mb"] });
    onTestFinished(() => full.stop());
    const prefix = newPrefix();
    const backend = opened({ url: full.url, keyPrefix: prefix });
    const log = await started(backend);
    const small = randomBytes(MIB);
    const digest = await put(backend, log, small);
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 40; i++) yield randomBytes(MIB);
    };
    const error = await errorOf(blobsOf(backend).put(log.ref, undefined, body()));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.message).toContain("maxmemory");
    await expect.poll(() => keysOf(prefix, log, full.cli)).toEqual(["blobs", `blobs:${digest}`, "head", "lines", "marks"]);
    expect((await got(backend, log, digest)).equals(small)).toBe(true);
    await put(backend, log, randomBytes(MIB));
  });

  it("quorum: what no replica has confirmed is OUTCOME_UNKNOWN; the same again is confirmed when one has", async () => {
    const pair = await startRedis({ replicas: 1, appendonly: "everysec" });
    onTestFinished(() => pair.stop());
    const [replica] = pair.replicas;
    const prefix = newPrefix();
    const backend = opened({ url: pair.url, keyPrefix: prefix, durability: "quorum", commandTimeoutMs: 2_000 });
    const log = await started(backend);
    const bytes = randomBytes(600_000);
    const before = await put(backend, log, randomBytes(5));
    replica?.service.signal("SIGSTOP");
    expect((await errorOf(put(backend, log, bytes))).code).toBe("OUTCOME_UNKNOWN");
    expect((await errorOf(put(backend, log, bytes))).code).toBe("OUTCOME_UNKNOWN");
    expect((await errorOf(blobsOf(backend).touch(log.ref, before))).code).toBe("OUTCOME_UNKNOWN");
    replica?.service.signal("SIGCONT");
    await expect.poll(() => codeOf(put(backend, log, bytes)), { timeout: 20_000 }).toBe("none");
    await pair.server.kill();
    await replica?.cli("REPLICAOF", "NO", "ONE");
    const survivor = opened({ url: replica?.url ?? "", keyPrefix: prefix });
    expect((await got(survivor, log, digestOf(bytes))).equals(bytes)).toBe(true);
  });

  it("one that is not whole is never confirmed: the connection breaks again and again while it is stored", async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const backend = opened({ url: server.url, keyPrefix: newPrefix() });
    const log = await started(backend);
    const bytes = randomBytes(4 * MIB);
    let stored = 0;
    for (let round = 0; round < 20; round++) {
      const part = bytes.subarray(round);
      const body = async function* (): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < part.length; at += 300_000) {
          if (at === 1_200_000) await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
          yield part.subarray(at, at + 300_000);
        }
      };
      const code = await codeOf(blobsOf(backend).put(log.ref, digestOf(part), body()));
      expect(["none", "OUTCOME_UNKNOWN", "BACKEND_UNAVAILABLE"]).toContain(code);
      if (code !== "none") continue;
      stored += 1;
      expect((await got(backend, log, digestOf(part))).equals(part)).toBe(true);
    }
    expect(stored).toBeGreaterThan(0);
  });

  it("what cannot be an age or a digest is INVALID_INPUT; a session that is none is SESSION_NOT_FOUND", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const log = await started(backend);
    for (const age of [-1, Number.NaN]) expect(await codeOf(blobsOf(backend).collect(log.ref, new Set(), age))).toBe("INVALID_INPUT");
    expect(await blobsOf(backend).collect(log.ref, new Set(), Number.POSITIVE_INFINITY)).toBe(0);
    expect(await codeOf(blobsOf(backend).touch(log.ref, "sha256-x"))).toBe("INVALID_INPUT");
    for (const id of ["../x", "", "0".repeat(32)])
      expect(await codeOf(blobsOf(backend).touch({ ...log.ref, id }, digestOf(Buffer.from("x"))))).toBe("SESSION_NOT_FOUND");
  });
});
