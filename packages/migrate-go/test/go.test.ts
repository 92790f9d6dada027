import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assistantMessage } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { exportGoStore, importGoStore } from "@aixgo/migrate-go";
import { FIXTURE, type GoMessage, type GoMeta, readAsGo, tempFolder } from "./support/go-store.ts";

const FOLDER = fileURLToPath(new URL("go", import.meta.url));
/** The go command. These tests need it, and the Go release: see the README. Without them its rules are held against what it said of the fixture. */
const GO = process.env["AIXGO_GO"];

type Read = Record<
  string,
  {
    readonly meta: GoMeta;
    readonly latest: boolean;
    readonly messages: readonly GoMessage[];
    readonly checkpoints: Record<string, readonly GoMessage[]>;
  }
>;

function goReads(dir: string, ...flags: string[]): Read {
  const output = execFileSync(GO as string, ["run", "./read", ...flags, dir], { cwd: FOLDER, encoding: "utf8", maxBuffer: 1 << 28 });
  return JSON.parse(output) as Read;
}

describe.runIf(GO !== undefined)("the Go release itself (with AIXGO_GO, the go command)", () => {
  it("reads an export: sessions, messages, checkpoints; appends to it; and what it appended is imported", async () => {
    const backend = createMemoryBackend();
    await importGoStore({ from: FIXTURE, to: backend });
    const manager = createSessionManager({ backend });
    const session = await manager.getOrCreate("assistant", "zoe", { metadata: { plan: "gold" } });
    await session.append([
      "one <b>",
      assistantMessage([
        { type: "text", text: "two" },
        { type: "reasoning", text: "why" },
      ]),
    ]);
    const checkpoint = await session.checkpoint({ label: "here" });
    await session.append("rolled back");
    await session.restore(checkpoint.id);
    const to = join(tempFolder(), "out");
    await exportGoStore({ from: manager, to, onTooLong: "shorten" });

    const read = goReads(to);
    const expected = readAsGo(to);
    expect(Object.keys(read).sort()).toEqual(Object.keys(expected).sort());
    for (const [id, { messages, checkpoints, meta }] of Object.entries(read)) {
      expect({ id, messages }).toEqual({ id, messages: expected[id]?.messages });
      expect(Object.keys(checkpoints).sort()).toEqual(Object.keys(expected[id]?.checkpoints ?? {}).sort());
      for (const [name, restored] of Object.entries(checkpoints)) {
        // An empty session is read anew by the Go release: a restore to nothing shows everything there.
        const wanted = expected[id]?.checkpoints[name]?.messages ?? [];
        if (wanted.length > 0) expect(restored).toEqual(wanted);
      }
      expect(meta.messageCount).toBe(messages.length);
    }

    goReads(to, "-append", "written by Go");
    const again = createMemoryBackend();
    const report = await importGoStore({ from: to, to: again });
    expect(report.skipped).toBe(0);
    const sessions = createSessionManager({ backend: again });
    for (const { id } of report.sessions) {
      const before = await (await manager.get(id as string)).messages();
      const after = await (await sessions.get(id as string)).messages();
      expect(after).toHaveLength(before.length + 1);
      expect(after.at(-1)?.parts).toEqual([{ type: "text", text: "written by Go" }]);
    }
  }, 300_000);

  it("reads a line of 65,536 bytes, and not one more", async () => {
    const manager = createSessionManager({ backend: createMemoryBackend() });
    const session = await manager.create("assistant");
    const draft = (length: number) => ({
      role: "user" as const,
      parts: [{ type: "text" as const, text: "x".repeat(length) }],
      id: "m",
      timestamp: "2026-01-01T00:00:00Z",
    });
    let fits = 0;
    for (let step = 65_536; step >= 1; step /= 2) {
      const probe = createSessionManager({ backend: createMemoryBackend() });
      await (await probe.create("assistant")).append(draft(fits + step));
      if ((await exportGoStore({ from: probe, to: join(tempFolder(), "out") })).skipped === 0) fits += step;
    }
    await session.append(draft(fits));
    const to = join(tempFolder(), "out");
    await exportGoStore({ from: manager, to });
    expect(Object.values(goReads(to))[0]?.messages).toHaveLength(1);
  }, 300_000);
});
