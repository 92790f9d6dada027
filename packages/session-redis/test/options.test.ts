import { isAixgoError } from "@aixgo/core";
import { Redis } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { createRedisBackend } from "../src/index.ts";
import { type ResolvedOptions, resolveOptions } from "../src/options.ts";

function refusal(options: object): string {
  try {
    createRedisBackend(options as never);
  } catch (error) {
    if (isAixgoError(error, "INVALID_OPTION")) return error.message;
    throw error;
  }
  return "taken";
}

function serverOf(url: string, more: object = {}): ResolvedOptions["server"] {
  return resolveOptions({ url, ...more }).server;
}

describe("options of createRedisBackend", () => {
  it("an unknown or invalid one is refused by its name, before anything is connected", () => {
    for (const [options, name] of [
      [{ url: "localhost:1", keyprefix: "x" }, "keyprefix"],
      [{}, "url"],
      [{ url: "" }, "url"],
      [{ url: "http://localhost" }, "url"],
      [{ url: "redis://localhost/zero" }, "url"],
      [{ url: "redis://localhost?family=6" }, "url"],
      [{ url: "redis://a:b%@localhost" }, "url"],
      [{ url: "localhost:99999" }, "url"],
      [{ url: "unix://relative.sock" }, "url"],
      [{ url: "localhost", db: -1 }, "db"],
      [{ url: "localhost", password: 5 }, "password"],
      [{ url: "localhost", ttlMs: 0 }, "ttlMs"],
      [{ url: "localhost", ttlMs: Number.NaN }, "ttlMs"],
      [{ url: "localhost", commandTimeoutMs: 0 }, "commandTimeoutMs"],
      [{ url: "localhost", durability: "disk" }, "durability"],
      [{ url: "localhost", replicas: 1 }, "replicas"],
      [{ url: "localhost", durability: "quorum", replicas: 0 }, "replicas"],
      [{ url: "localhost", keyPrefix: "a{b}" }, "keyPrefix"],
      [{ url: "localhost", indexedMetadata: "topic" }, "indexedMetadata"],
      [{ url: "localhost", maxLineBytes: 5 }, "maxLineBytes"],
      [{ client: {} }, "client"],
      [{ client: null }, "client"],
    ] as const) {
      expect(refusal(options), JSON.stringify(options)).toContain(`option ${name} `);
    }
    const client = new Redis({ lazyConnect: true });
    onTestFinished(() => client.disconnect());
    expect(refusal({ client, url: "localhost" })).toContain("option url ");
    expect(refusal({ client })).toBe("taken");
  });

  it("never shows the password of a URL that it refuses", () => {
    for (const url of ["redis://ada:s3cret@localhost/zero", "http://ada:s3cret@localhost", "redis://ada:s3cret@localhost:99999"]) {
      expect(refusal({ url })).not.toContain("s3cret");
    }
  });

  it("understands host and port, URLs, addresses of version 6 and unix sockets", () => {
    expect(serverOf("localhost:6380")).toEqual({ host: "localhost", port: 6380, db: 0 });
    expect(serverOf("localhost")).toEqual({ host: "localhost", port: 6379, db: 0 });
    expect(serverOf("redis://ada:p%40ss@cache.example/3")).toEqual({
      host: "cache.example",
      port: 6379,
      username: "ada",
      password: "p@ss",
      db: 3,
    });
    expect(serverOf("rediss://cache.example:7000")).toEqual({
      host: "cache.example",
      port: 7000,
      tls: { servername: "cache.example" },
      db: 0,
    });
    expect(serverOf("rediss://127.0.0.1")).toEqual({ host: "127.0.0.1", port: 6379, tls: {}, db: 0 });
    expect(serverOf("redis://[::1]:7001")).toEqual({ host: "::1", port: 7001, db: 0 });
    expect(serverOf("/run/redis.sock")).toEqual({ path: "/run/redis.sock", db: 0 });
    expect(serverOf("unix:///run/redis.sock", { db: 2 })).toEqual({ path: "/run/redis.sock", db: 2 });
  });

  it("options beside the URL win over what it says", () => {
    expect(serverOf("redis://ada:old@localhost/1", { username: "bob", password: "new", db: 4 })).toEqual({
      host: "localhost",
      port: 6379,
      username: "bob",
      password: "new",
      db: 4,
    });
  });
});
