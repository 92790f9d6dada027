import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createSessionManager } from "@aixgo/session";
import { afterAll, beforeAll, expect, it } from "vitest";
import { envelopeOf } from "@aixgo/session/backend";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { verifyLog } from "@aixgo/session-testkit";
import { startSession } from "./support/sessions.ts";
import { newName, serverUrl, sql } from "./support/server.ts";

const isLong = process.env["AIXGO_LONG"] === "1";
const KILLS = isLong ? 10_000 : 150;
const HAND_OVERS = isLong ? 1000 : 60;
const STOPS = isLong ? 50 : 5;
/** Writers that live at once. */
const WRITERS = 3;
const HOLDERS = 3;
const TTL_MS = 150;
const PATIENCE_MS = 60_000;

const schema = newName("s");
const backend = createPostgresBackend({ connectionString: serverUrl(), schema });

beforeAll(async () => {
  if (!existsSync(new URL("../dist/index.js", import.meta.url)))
    throw new Error("this package is not built: run npx tsc -b packages/session-postgres");
  await backend.list({});
});
afterAll(async () => {
  await backend.close();
  await sql(`DROP SCHEMA "${schema}" CASCADE`);
});

interface Node {
  readonly process: ChildProcessByStdio<Writable, Readable, null>;
  readonly exit: Promise<unknown>;
  readonly lines: string[];
}

function startNode(program: string, ...args: readonly string[]): Node {
  const path = fileURLToPath(new URL(`support/${program}`, import.meta.url));
  const child = spawn(process.execPath, [path, serverUrl(), schema, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => undefined);
  const lines: string[] = [];
  // A line that was cut off by the kill was acknowledged nevertheless, but to nobody.
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  return { process: child, exit: once(child, "close"), lines };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
    await pause(2);
  }
}

it(
  `of what nodes have acknowledged nothing is lost or doubled when they are killed ${KILLS} times in the middle of their appends`,
  async () => {
    let kills = 0;
    let acknowledged = 0;
    // A session of its own for so many kills: a log is read whole to be compared.
    for (let left = KILLS; left > 0; left -= 500) {
      const { ref } = await startSession(backend);
      const acked: string[] = [];
      let due = Math.min(left, 500);
      const kill = async (writer: number): Promise<void> => {
        while (due > 0) {
          due -= 1;
          kills += 1;
          const node = startNode("killed-writer.mjs", ref.id, `w${writer}.${kills}`);
          try {
            const most = 1 + Math.random() * 8;
            await until("a node writes", () => node.lines.length >= most || node.process.exitCode !== null);
            expect(node.process.exitCode).toBe(null);
            // Anywhere between two acknowledgements.
            await pause(Math.random() * 4);
          } finally {
            node.process.kill("SIGKILL");
            await node.exit;
          }
          acked.push(...node.lines.filter((line) => /^w\d+\.\d+\.\d+$/.test(line)));
        }
      };
      await Promise.all(Array.from({ length: WRITERS }, (_, i) => kill(i)));
      const sessions = createSessionManager({ backend: createPostgresBackend({ connectionString: serverUrl(), schema }) });
      const session = await sessions.get(ref.id);
      expect((await session.verify()).problems).toEqual([]);
      const texts = (await session.messages()).map(({ parts: [part] }) => (part as { text: string }).text);
      const stored = new Set(texts);
      expect(stored.size).toBe(texts.length);
      expect(acked.filter((op) => !stored.has(`${op} first`) || !stored.has(`${op} second`))).toEqual([]);
      // Whole batches, also of what nobody was told of.
      for (const [i, text] of texts.entries()) if (text.endsWith(" first")) expect(texts[i + 1]).toBe(text.replace("first", "second"));
      acknowledged += acked.length;
      await sessions.delete(ref.id);
      await sessions.close();
    }
    expect(kills).toBe(KILLS);
    expect(acknowledged).toBeGreaterThanOrEqual(KILLS);
    if (isLong) report(`${kills} kills, ${acknowledged} acknowledged appends, none lost or doubled`);
  },
  KILLS * 5000 + 60_000,
);

it(
  `in ${HAND_OVERS} hand-overs of a lease between nodes, ${STOPS} of them from a node that was stopped, no turn is doubled and no stale append is written`,
  async () => {
    const { ref } = await startSession(backend);
    const nodes = Array.from({ length: HOLDERS }, (_, i) => startNode("lease-holder.mjs", ref.id, `n${i}`, String(TTL_MS)));
    const reports = (
      node: Node,
    ): { readonly taken?: number; readonly held?: boolean; readonly refused?: number; readonly wrong?: number }[] =>
      node.lines.map((line) => JSON.parse(line) as object);
    const fence = async (): Promise<number> => (await backend.head(ref.id)).fence;
    let stops = 0;
    try {
      while (stops < STOPS) {
        const before = await fence();
        const node = nodes[stops % HOLDERS] as Node;
        const seen = node.lines.length;
        node.process.stdin.write("hold\n");
        const held = (): number | undefined =>
          reports(node)
            .slice(seen)
            .find((report) => report.held === true)?.taken;
        await until("a node holds the lease", () => held() !== undefined);
        const stopped = held() as number;
        node.process.kill("SIGSTOP");
        try {
          // The others go on without it.
          await until("another node takes over", async () => (await fence()) > stopped + 1);
        } finally {
          node.process.kill("SIGCONT");
        }
        await until("what the stopped node sends is refused", () => reports(node).some(({ refused }) => refused === stopped));
        stops += 1;
        await until("enough hand-overs", async () => (await fence()) - before >= Math.floor(HAND_OVERS / STOPS));
      }
      await until("enough hand-overs", async () => (await fence()) >= HAND_OVERS);
    } finally {
      for (const node of nodes) node.process.stdin.end("end\n");
      const patience = setTimeout(() => nodes.forEach((node) => node.process.kill("SIGKILL")), PATIENCE_MS);
      await Promise.all(nodes.map(({ exit }) => exit));
      clearTimeout(patience);
    }
    expect(nodes.map((node) => node.process.exitCode)).toEqual(nodes.map(() => 0));
    expect(nodes.flatMap(reports).filter(({ wrong }) => wrong !== undefined)).toEqual([]);
    const { lines } = await verifyLog(backend, await backend.head(ref.id));
    let current = 0;
    let isOpen = false;
    let starts = 0;
    for (const line of lines) {
      const { type, fence, seq } = envelopeOf(line);
      if (type === "session") continue;
      if (type === "turn" && line.includes('"phase":"start"')) {
        expect(fence, `the turn at ${seq}`).toBe(current + 1);
        current += 1;
        isOpen = true;
        starts += 1;
        continue;
      }
      // Of this turn, and of no other, and not after its end.
      expect([fence, isOpen], `the entry at ${seq}`).toEqual([current, true]);
      if (type === "turn") isOpen = false;
    }
    expect(starts).toBeGreaterThanOrEqual(HAND_OVERS);
    const refused = nodes.flatMap(reports).filter((each) => each.refused !== undefined).length;
    expect(refused).toBeGreaterThanOrEqual(STOPS);
    if (isLong) report(`${starts} hand-overs, ${stops} from a stopped node, ${refused} stale holders refused`);
    await backend.delete(ref);
  },
  HAND_OVERS * 1500 + STOPS * 5000 + 60_000,
);

function report(text: string): void {
  process.stderr.write(`${text}\n`);
}
