import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { once } from "node:events";
import { createRequire } from "node:module";
import { inspect, promisify } from "node:util";
import { pathToFileURL } from "node:url";
import { message } from "@aixgo/session-testkit";
import { Redis } from "ioredis";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { freePort } from "@aixgo/repository-tools/services/ports";
import { startRedis, startRedisTls } from "@aixgo/repository-tools/services/redis";
import { createRedisBackend } from "../src/index.ts";
import { appended, codeOf, errorOf, newPrefix, opened, started } from "./support/sessions.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

async function anotherServer(...args: readonly string[]): Promise<typeof redis> {
  const server = await startRedis({ args });
  onTestFinished(() => server.stop());
  return server;
}

describe("a server that cannot be reached", () => {
  it("at start is BACKEND_UNAVAILABLE that names host and port, and neither password nor anything else", async () => {
    const port = await freePort();
    const backend = opened({ url: `redis://ada:s3cret@127.0.0.1:${port}` });
    const log = { id: "0".repeat(32) };
    for (const call of [() => backend.head(log.id), () => backend.list({}), () => started(backend)]) {
      const error = await errorOf(call());
      expect(error.code).toBe("BACKEND_UNAVAILABLE");
      expect(error.retryable).toBe(true);
      expect(error.message).toContain(`127.0.0.1:${port}`);
      expect(error.message).toContain("connection refused");
      expect(inspect(error, { depth: 10 })).not.toContain("s3cret");
    }
  });

  it("at start is used as soon as it is there", async () => {
    const server = await anotherServer();
    await server.server.kill();
    const backend = opened({ url: server.url, keyPrefix: newPrefix() });
    expect(await codeOf(backend.list({}))).toBe("BACKEND_UNAVAILABLE");
    await server.server.restart();
    // The client pauses between its attempts.
    await expect.poll(() => codeOf(backend.list({})), { timeout: 10_000 }).toBe("none");
    await started(backend);
  });

  it("later: a call says so, an append that was never sent has written nothing, and all goes on when it is back", async () => {
    const server = await startRedis({ appendonly: "always" });
    onTestFinished(() => server.stop());
    const backend = opened({ url: server.url, keyPrefix: newPrefix() });
    const log = await started(backend);
    await appended(backend, log, message("one"));
    await server.server.kill();
    await expect.poll(() => codeOf(backend.head(log.ref.id)), { timeout: 10_000 }).toBe("BACKEND_UNAVAILABLE");
    const error = await errorOf(backend.append(log.ref, { expect: log.position, lines: log.branch().add(message("two")) }));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.message).toContain("nothing was written");
    await server.server.restart();
    await expect.poll(() => codeOf(backend.head(log.ref.id)), { timeout: 10_000 }).toBe("none");
    expect((await backend.head(log.ref.id)).seq).toBe(1);
    await appended(backend, log, message("two"));
  });

  it("that takes connections and never answers: reads are BACKEND_UNAVAILABLE within commandTimeoutMs", async () => {
    const mute = createServer(() => {}).listen(0, "127.0.0.1");
    await once(mute, "listening");
    onTestFinished(() => void mute.close());
    const { port } = mute.address() as { port: number };
    const backend = opened({ url: `127.0.0.1:${port}`, commandTimeoutMs: 200 });
    const error = await errorOf(backend.head("0".repeat(32)));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.message).toContain("200 ms");
  });

  it("that stops in the middle: an append is OUTCOME_UNKNOWN, the same bytes again are answered with themselves", async () => {
    const server = await anotherServer();
    // In less a busy machine may not answer either.
    const backend = opened({ url: server.url, keyPrefix: newPrefix(), commandTimeoutMs: 2_500 });
    const log = await started(backend);
    await appended(backend, log, message("one"));
    server.server.service.signal("SIGSTOP");
    const at = log.position;
    const lines = log.add(message("two"));
    const error = await errorOf(backend.append(log.ref, { expect: at, lines }));
    expect(error.code).toBe("OUTCOME_UNKNOWN");
    expect(await codeOf(backend.head(log.ref.id))).toBe("BACKEND_UNAVAILABLE");
    server.server.service.signal("SIGCONT");
    await expect.poll(async () => (await backend.head(log.ref.id)).seq).toBe(2);
    const again = await backend.append(log.ref, { expect: at, lines });
    expect("conflict" in again && Buffer.from(again.since ?? []).toString()).toBe(`${String(lines[0])}\n`);
  });
});

describe("who may come in", () => {
  it("a wrong password is UNAUTHENTICATED, and is shown nowhere", async () => {
    const server = await anotherServer("--requirepass", "right");
    for (const password of ["wr0ng-secret", undefined]) {
      const backend = opened({ url: server.url, ...(password === undefined ? undefined : { password }) });
      const error = await errorOf(backend.list({}));
      expect(error.code).toBe("UNAUTHENTICATED");
      expect(error.message).toContain(`127.0.0.1:${server.port}`);
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("wr0ng-secret");
    }
    expect(await codeOf(opened({ url: server.url, password: "right" }).list({}))).toBe("none");
    expect(await codeOf(opened({ url: `redis://:right@127.0.0.1:${server.port}` }).list({}))).toBe("none");
  });

  it("the least rights of the README are enough, and each one less is PERMISSION_DENIED that names it", async () => {
    const server = await anotherServer();
    const prefix = newPrefix();
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const rights = /ACL SETUSER aixgo (.*)$/m.exec(readme)?.[1]?.replace("on >password ", "").split(" ") ?? [];
    const rules = rights.filter((rule) => rule.startsWith("+"));
    expect(rules.length).toBeGreaterThan(20);
    const allow = (commands: readonly string[]): Promise<string> =>
      server.cli("ACL", "SETUSER", "aixgo", "reset", "on", ">pw", `~${prefix}*`, `&${prefix}*`, ...commands);
    await allow(rules);
    const backend = opened({ url: server.url, username: "aixgo", password: "pw", keyPrefix: prefix });
    const log = await started(backend, { key: "k" }, ...Array.from({ length: 3 }, (_, i) => message(`number ${i}`)));
    await appended(backend, log, message("one"));
    expect((await backend.list({ limit: 1 })).items).toHaveLength(1);
    const digest = await backend.blobs?.put(
      log.ref,
      undefined,
      (async function* () {
        yield Buffer.from("bytes");
      })(),
    );
    expect(await backend.blobs?.touch(log.ref, digest ?? "")).toBe(true);
    expect(await backend.blobs?.collect(log.ref, new Set(), 0)).toBe(1);
    const controller = new AbortController();
    const watching = backend.watch?.(log.ref, log.position, controller.signal)[Symbol.asyncIterator]();
    expect(await watching?.next()).toMatchObject({ done: false });
    expect(await server.cli("PUBSUB", "CHANNELS")).toContain(log.ref.id);
    controller.abort();
    await backend.delete(log.ref);
    for (const left of ["+rpush", "+hset", "+hkeys", "+hdel", "+zadd", "+rename", "+unlink"]) {
      await allow(rules.filter((rule) => rule !== left));
      const poor = opened({ url: server.url, username: "aixgo", password: "pw", keyPrefix: prefix });
      const error = await errorOf(started(poor));
      expect(error.code, left).toBe("PERMISSION_DENIED");
      expect(error.message).toContain(left.slice(1));
    }
    expect(await server.cli("DBSIZE")).not.toBe("0");
    const elsewhere = opened({ url: server.url, username: "aixgo", password: "pw", keyPrefix: "other:" });
    await allow(rules);
    expect(await codeOf(started(elsewhere))).toBe("PERMISSION_DENIED");
    expect(await codeOf(elsewhere.head("0".repeat(32)))).toBe("PERMISSION_DENIED");
  });
});

describe("TLS", () => {
  it("a certificate for the name that was asked for is accepted, one for another name is refused before anything is sent", async () => {
    const right = await startRedisTls();
    onTestFinished(() => right.stop());
    const ca = readFileSync(right.ca);
    const client = new Redis({ host: "localhost", port: right.port, tls: { ca, servername: "localhost" }, lazyConnect: true });
    onTestFinished(() => client.disconnect());
    await started(opened({ client, keyPrefix: newPrefix() }));

    const wrong = await startRedisTls({ name: "another.example" });
    onTestFinished(() => wrong.stop());
    const other = new Redis({
      host: "localhost",
      port: wrong.port,
      password: "s3cret",
      tls: { ca: readFileSync(wrong.ca), servername: "localhost" },
      lazyConnect: true,
      maxRetriesPerRequest: 1,
    });
    onTestFinished(() => other.disconnect());
    const error = await errorOf(opened({ client: other }).list({}));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.message).toContain("certificate is for another name");

    const unknown = await errorOf(opened({ url: right.url, password: "s3cret" }).list({}));
    expect(unknown.code).toBe("BACKEND_UNAVAILABLE");
    expect(inspect(unknown, { depth: 10 })).not.toContain("s3cret");
  });
});

describe("clients and closing", () => {
  it("our prefix stands behind that of the user's client, and closing leaves that client open", async () => {
    const client = new Redis(redis.port, "127.0.0.1", { keyPrefix: "app:" });
    onTestFinished(() => client.disconnect());
    const prefix = newPrefix();
    const backend = createRedisBackend({ client, keyPrefix: prefix });
    const log = await started(backend, { userId: "ada", key: "k" }, message("one"));
    expect((await backend.list({ userId: "ada" })).items).toHaveLength(1);
    const plain = new Redis(redis.port, "127.0.0.1");
    onTestFinished(() => plain.disconnect());
    const keys = await plain.keys(`*${prefix}*`);
    expect(keys.length).toBeGreaterThan(5);
    for (const key of keys) expect(key.startsWith(`app:${prefix}`), key).toBe(true);
    const listeners = client.listenerCount("error");
    await backend.close();
    expect(client.listenerCount("error")).toBe(listeners - 1);
    expect(await client.ping()).toBe("PONG");
    expect(await codeOf(backend.head(log.ref.id))).toBe("BACKEND_CLOSED");
  });

  it("a call that is under way when the backend is closed ends with BACKEND_CLOSED", async () => {
    const port = await freePort();
    const backend = createRedisBackend({ url: `127.0.0.1:${port}` });
    const call = codeOf(backend.list({}));
    await backend.close();
    await backend.close();
    expect(await call).toBe("BACKEND_CLOSED");
  });

  it("a unix socket", async () => {
    const server = await anotherServer("--unixsocket", "redis.sock");
    const backend = opened({ url: `${server.folder}/redis.sock`, keyPrefix: newPrefix() });
    await started(backend);
    await server.server.kill();
    await expect.poll(() => codeOf(backend.list({})), { timeout: 10_000 }).toBe("BACKEND_UNAVAILABLE");
    const error = await errorOf(backend.list({}));
    expect(error.message).not.toContain(server.folder);
  });

  it("a process that closes its backend ends by itself", async () => {
    const source = new URL("../src/index.ts", import.meta.url).href;
    const program = `import { createRedisBackend } from ${JSON.stringify(source)};
      const backend = createRedisBackend({ url: ${JSON.stringify(redis.url)} });
      await backend.list({});
      await backend.close();
      console.log("closed");`;
    const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--conditions=@aixgo/source", "--import", loader, "--input-type=module", "--eval", program],
      { timeout: 20_000 },
    );
    expect(stdout.trim()).toBe("closed");
  });
});
