import { spawn } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { appendFileSync, copyFileSync, renameSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createSessionManager, type Entry, type Session } from "@aixgo/session";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createFileBackend } from "../src/index.ts";
import { createWatchers } from "../src/watchers.ts";
import { TYPESCRIPT } from "./support/fixtures.ts";
import { temporaryStore } from "./support/writer.ts";

let baseDir: string;
beforeEach(() => {
  baseDir = temporaryStore();
});
afterEach(() => rmSync(baseDir, { recursive: true, force: true }));

async function take(session: Session, count: number, after?: Parameters<Session["cursorOf"]>[0]): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of session.entries({ follow: true, ...(after === undefined ? {} : { after: session.cursorOf(after) }) })) {
    entries.push(entry);
    if (entries.length === count) break;
  }
  return entries;
}

async function endOf(session: Session, seen: Entry[]): Promise<unknown> {
  try {
    for await (const entry of session.entries({ follow: true })) seen.push(entry);
    return "it ended quietly";
  } catch (error) {
    return error;
  }
}

it("a follower sees every entry of two other processes once and in order, and goes on in the middle", async () => {
  await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
  const session = await sessions.create("x");
  const children = [0, 1].map(() =>
    spawn(process.execPath, [...TYPESCRIPT, join(import.meta.dirname, "support/feed-worker.ts"), baseDir, session.id, "append", "100"], {
      stdio: "inherit",
    }),
  );
  const exits = children.map((child) => once(child, "exit"));
  const first = await take(session, 90);
  const rest = await take(session, 111, first.at(-1));
  expect([...first, ...rest].map(({ seq }) => seq)).toEqual(Array.from({ length: 201 }, (_, seq) => seq));
  for (const [code] of await Promise.all(exits)) expect(code).toBe(0);
}, 60_000);

it("a log that lost its end, or was put back from a copy, ends the follower with LOG_DIVERGED", async () => {
  const backend = createFileBackend({ baseDir, durability: "os" });
  await using sessions = createSessionManager({ backend });
  for (const way of ["cut", "copy"]) {
    const session = await sessions.create("x");
    const path = join(baseDir, "x", `${session.id}.jsonl`);
    await session.append("a");
    copyFileSync(path, `${path}.copy`);
    const seen: Entry[] = [];
    const ended = endOf(session, seen);
    await session.append("b");
    await vi.waitUntil(() => seen.length === 3, { timeout: 20_000 });
    if (way === "copy") renameSync(`${path}.copy`, path);
    else truncateSync(path, (await backend.head(session.id)).bytes - 40);
    expect(await ended).toMatchObject({ code: "LOG_DIVERGED" });
  }
});

it("watchers tell of growth, replacement and removal, each with or without the system's help, and end", async () => {
  const path = join(baseDir, "log");
  // More files than the system is asked to watch: the last ones are looked at by time.
  for (const others of [0, 130]) {
    appendFileSync(path, "1");
    const watchers = createWatchers();
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    const idle = Array.from({ length: others }, (_, index) => watchers.hear(join(baseDir, `other-${index}`), controller.signal));
    for (const [index, each] of idle.entries()) {
      appendFileSync(join(baseDir, `other-${index}`), "");
      await each.next();
    }
    const hints = watchers.hear(path, controller.signal);
    await hints.next();
    for (const change of [
      () => appendFileSync(path, "2"),
      () => {
        appendFileSync(`${path}.next`, "3");
        renameSync(`${path}.next`, path);
      },
      () => appendFileSync(path, "4"),
      () => rmSync(path),
    ]) {
      // Hints that are on their way still are not those of this change.
      await sleep(30);
      const next = hints.next();
      change();
      expect((await next).done).toBe(false);
    }
    const ends = [...idle, hints].map(async (each) => {
      while ((await each.next()).done !== true);
    });
    controller.abort();
    await Promise.all(ends);
    watchers.close();
  }
});
