import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { textOf } from "@aixgo/core";
import { createSessionManager, type Entry, type SessionManager } from "@aixgo/session";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFileBackend } from "../src/index.ts";
import { TYPESCRIPT } from "./support/fixtures.ts";
import { temporaryStore } from "./support/writer.ts";

let store: string;
let sessions: SessionManager;
const children: ChildProcess[] = [];

beforeEach(() => {
  store = temporaryStore();
  sessions = createSessionManager({ backend: createFileBackend({ baseDir: store }) });
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await sessions.close();
  rmSync(store, { recursive: true, force: true });
});

interface Worker {
  readonly child: ChildProcess;
  readonly exit: Promise<unknown>;
  /** What it said so far. */
  said(): readonly string[];
  until(line: string): Promise<void>;
}

function worker(...args: string[]): Worker {
  const child = spawn(process.execPath, [...TYPESCRIPT, join(import.meta.dirname, "support/turn-worker.ts"), store, ...args], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  children.push(child);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (more: string) => (text += more));
  return {
    child,
    exit: once(child, "close"),
    said: () => text.split("\n").slice(0, -1),
    async until(line) {
      while (!text.includes(`${line}\n`)) {
        if (child.exitCode !== null) throw new Error(`the worker ended before it said ${line}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

const entriesOf = async (id: string): Promise<Entry[]> => {
  const entries: Entry[] = [];
  for await (const entry of (await sessions.get(id)).entries()) entries.push(entry);
  return entries;
};

describe("turns of several processes on one session", () => {
  it("run one after the other: each whole, none lost, none fenced", async () => {
    const { id } = await sessions.create("a");
    const workers = Array.from({ length: 6 }, (_, index) => worker(id, `w${index}`, "15"));
    await Promise.all(workers.map(({ exit }) => exit));
    expect(workers.map(({ child }) => child.exitCode)).toEqual(Array(6).fill(0));
    const session = await sessions.get(id);
    const texts = (await session.messages()).map(textOf);
    for (let at = 0; at < texts.length; at += 3) expect(texts.slice(at + 1, at + 3)).toEqual([`${texts[at]} step`, `${texts[at]} answer`]);
    expect(texts).toHaveLength(6 * 15 * 3);
    expect(workers.flatMap(({ said }) => said()).toSorted()).toEqual(texts.filter((text) => text.endsWith("answer")).toSorted());
    expect((await session.verify()).problems).toEqual([]);
    // Every turn was its first attempt, ended by its own process.
    const turns = (await entriesOf(id))
      .filter(({ type }) => type === "turn")
      .map(({ data }) => data as { attempt: number; status?: string });
    expect(turns.every(({ attempt, status }) => attempt === 1 && (status ?? "completed") === "completed")).toBe(true);
  }, 120_000);

  it("killed in the middle is taken over at once, and the same key goes on as attempt 2", async () => {
    const { id } = await sessions.create("a");
    const dying = worker(id, "w", "1", "hang");
    await dying.until("hanging");
    const session = await sessions.get(id);
    await expect(session.turn("w.0", async () => "too early", { turnKey: "w.0", ifBusy: "reject" })).rejects.toMatchObject({
      code: "SESSION_BUSY",
    });
    dying.child.kill("SIGKILL");
    await dying.exit;
    const reply = await session.turn("w.0", async (turn) => `${turn.attempt} ${(await turn.steps()).map(textOf).join()}`, {
      turnKey: "w.0",
      ifBusy: "reject",
    });
    expect(reply.text).toBe("2 w.0 step");
    expect((await session.messages()).map(textOf)).toEqual(["w.0", "w.0 step", "2 w.0 step"]);
    expect((await session.verify()).problems).toEqual([]);
  }, 60_000);

  it("stopped in the middle keeps its session until its lease ends; when it wakes up, its writes are refused", async () => {
    const { id } = await sessions.create("a");
    const paused = worker(id, "w", "1", "write");
    await paused.until("writing");
    paused.child.kill("SIGSTOP");
    const session = await sessions.get(id);
    await expect(session.append("from outside")).rejects.toMatchObject({ code: "SESSION_BUSY" });
    await session.checkpoint({ label: "allowed meanwhile" });
    const reply = await session.turn("q", async () => "taken over", { queueTimeoutMs: 20_000 });
    expect(reply.text).toBe("taken over");
    const before = await session.messages();
    paused.child.kill("SIGCONT");
    await paused.exit;
    expect(paused.said()).toEqual(["writing", "FENCED"]);
    expect(await session.messages()).toEqual(before);
    expect((await session.verify()).problems).toEqual([]);
  }, 60_000);
});
