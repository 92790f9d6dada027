import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SessionBackend } from "@aixgo/session/backend";
import { append, createWith, LineWriter, open, readAll, temporaryStore } from "./support/writer.ts";

let store: string;
let backend: SessionBackend;
beforeEach(() => {
  store = temporaryStore();
  backend = open(store);
});
afterEach(async () => {
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

describe("a batch whose writer died in the middle of it", () => {
  it.each([false, true])("is not found by its op or an id, before it is cut and after (another append follows: %s)", async (follows) => {
    const writer = await createWith(backend, 2);
    const { ref, position } = writer;
    expect(await backend.find(ref, { op: "u:o" })).toBeUndefined();
    const dead = LineWriter.after(ref, position, writer.n);
    const [half] = dead.batch(["one", "two"], { op: "u:o", id: "half-of-it" }) as [Buffer];
    appendFileSync(join(store, "writer", `${ref.id}.jsonl`), `${half.toString()}\n`);
    expect(await backend.head(ref.id)).toMatchObject({ seq: 2 });
    if (follows) await append(backend, writer, "another");
    expect(await backend.find(ref, { op: "u:o" })).toBeUndefined();
    expect(await backend.find(ref, { entryId: "half-of-it" })).toBeUndefined();
    // Sent again it is stored like any other, and found then.
    const next = LineWriter.after(ref, writer.position, writer.n);
    const lines = next.batch(["one", "two"], { op: "u:o", id: "half-of-it" });
    const { seq } = writer;
    expect(await backend.append(ref, { expect: writer.position, lines })).toMatchObject({ head: { seq: seq + 2 } });
    expect(await backend.find(ref, { op: "u:o" })).toBe(seq + 1);
    expect(await backend.find(ref, { entryId: "half-of-it" })).toBe(seq + 1);
    expect((await readAll(backend, ref)).length).toBe(seq + 3);
  });
});
