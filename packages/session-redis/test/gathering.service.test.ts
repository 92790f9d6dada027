import { createLog, type LogBuilder, message, verifyLog } from "@aixgo/session-testkit";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import type { SessionBackend } from "@aixgo/session/backend";
import { scripts, tellingScripts } from "../src/scripts.ts";
import { errorOf, newPrefix, opened, started } from "./support/sessions.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** A history that is sent in three parts. */
function long(id?: string): LogBuilder {
  const log = createLog(id === undefined ? {} : { id });
  for (let i = 0; i < 5; i += 1) log.add(message(`${i} ${"x".repeat(500_000)}`));
  return log;
}

/** A backend that loses what it has gathered so far, lines or marks, right before it sends one of these scripts for the `nth` time. */
function losing(prefix: string, what: "lines" | "marks", shas: readonly string[], nth = 1): SessionBackend {
  const client = new Redis(redis.port, "127.0.0.1");
  onTestFinished(() => client.disconnect());
  const send = client.sendCommand.bind(client);
  let sent = 0;
  client.sendCommand = (command, ...more) => {
    if (!shas.includes(String(command.args[0])) || (sent += 1) !== nth) return send(command, ...more);
    lose(prefix, what).then(
      () => send(command, ...more),
      (error: Error) => command.reject(error),
    );
    return command.promise;
  };
  return opened({ client, keyPrefix: prefix });
}

async function lose(prefix: string, what: "lines" | "marks"): Promise<void> {
  const all = (await redis.cli("KEYS", `${prefix}*:staging:*`)).trim().split("\n");
  const gone = all.filter((key) => key.endsWith(what));
  if (gone.length !== 1) throw new Error(`not one key of ${what} that were gathered: ${all.join(" ")}`);
  await redis.cli("DEL", ...gone);
}

async function* linesOf(log: LogBuilder): AsyncGenerator<Uint8Array> {
  yield* log.lines;
}

describe("a long history that is lost while it is on its way", () => {
  it.each([
    ["between two parts, its lines", "lines", [scripts.gatherLines.sha], 2],
    ["before it becomes the log, its lines", "lines", [scripts.create.sha], 1],
    ["before it becomes the log, what is found in it", "marks", [scripts.create.sha], 1],
  ] as const)("makes no session: %s", async (_, what, shas, nth) => {
    const prefix = newPrefix();
    const [log, calm] = [long(), opened({ url: redis.url, keyPrefix: prefix })];
    const error = await errorOf(losing(prefix, what, shas, nth).create({ ref: log.ref, info: log.info, lines: () => linesOf(log) }));
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: true, message: expect.stringContaining("nothing was written") });
    expect((await errorOf(calm.head(log.ref.id))).code).toBe("SESSION_NOT_FOUND");
    await calm.create({ ref: log.ref, info: log.info, lines: () => linesOf(log) });
    await verifyLog(calm, log.ref);
  });

  it.each(["lines", "marks"] as const)("replaces no log: its %s", async (what) => {
    const prefix = newPrefix();
    const calm = opened({ url: redis.url, keyPrefix: prefix });
    const old = await started(calm, {}, message("stays"));
    const next = long(old.ref.id);
    const { silent, PUBLISH, SPUBLISH } = tellingScripts.rewrite;
    // The first one only looks whether it would be refused.
    const node = losing(prefix, what, [silent.sha, PUBLISH.sha, SPUBLISH.sha], 2);
    const error = await errorOf(node.rewrite(old.ref, { expect: old.position, next: next.ref, lines: linesOf(next) }));
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", message: expect.stringContaining("nothing was written") });
    expect((await verifyLog(calm, old.ref)).lines).toHaveLength(2);
  });
});
