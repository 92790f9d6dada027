import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { TYPESCRIPT } from "./support/fixtures.ts";
import { createWith, open, readAll, temporaryStore, textOf } from "./support/writer.ts";

const CYCLES = 30;
const WRITERS = 2;
const PATIENCE_MS = 20_000;

it(`no acknowledged entry is lost or doubled in ${CYCLES} cycles of kill -9 on writers of one session`, async () => {
  const store = temporaryStore();
  const acknowledged: string[] = [];
  try {
    const backend = open(store, { durability: "disk" });
    const { ref } = await createWith(backend, 0);
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const children = Array.from({ length: WRITERS }, (_, i) => {
        const child = spawn(
          process.execPath,
          [...TYPESCRIPT, join(import.meta.dirname, "support/kill-writer.ts"), store, ref.id, ref.incarnation, `${cycle}.${i}`],
          { stdio: ["ignore", "pipe", "inherit"] },
        );
        return { child, exit: once(child, "exit"), said: "" };
      });
      for (const one of children) one.child.stdout.setEncoding("utf8").on("data", (text: string) => (one.said += text));
      const deadline = Date.now() + PATIENCE_MS;
      const due = 5 + Math.random() * 20;
      while (children.some(({ said }) => said.split("\n").length < due) && Date.now() < deadline) await sleep(2);
      for (const { child } of children) child.kill("SIGKILL");
      await Promise.all(children.map(({ exit }) => exit));
      for (const { said } of children) {
        expect(said).not.toBe("");
        acknowledged.push(...said.slice(0, said.lastIndexOf("\n")).split("\n"));
      }
    }
    const entries = await readAll(backend, ref);
    expect(entries.map(({ seq }) => seq)).toEqual([...entries.keys()]);
    const texts = entries.slice(1).map(textOf);
    expect(new Set(texts).size).toBe(texts.length);
    const stored = new Set(texts);
    expect(acknowledged.filter((text) => !stored.has(text))).toEqual([]);
    // A batch is there whole or not at all.
    for (const text of texts) if (text.endsWith("b")) expect(stored).toContain(text.slice(0, -1));
    for (const { batch } of entries) if (batch !== undefined) expect(batch[1]).toBe(2);
    await backend.close();
  } finally {
    rmSync(store, { recursive: true, force: true });
  }
}, 300_000);
