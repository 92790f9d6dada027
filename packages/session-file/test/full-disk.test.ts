import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { textOf } from "@aixgo/core";
import { createSessionManager, type SessionManager } from "@aixgo/session";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFileBackend } from "../src/index.ts";

const canMount = process.platform === "linux" && process.getuid?.() === 0;
const name = canMount ? "a real file system" : "a real file system (skipped: mounting one needs root on Linux)";

describe.skipIf(!canMount)(name, () => {
  let disk: string;
  let sessions: SessionManager;

  beforeEach(() => {
    disk = mkdtempSync(join(tmpdir(), "aixgo-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
    sessions = createSessionManager({ backend: createFileBackend({ baseDir: join(disk, "store") }) });
  });

  afterEach(async () => {
    await sessions.close();
    execFileSync("umount", ["-l", disk]);
    rmSync(disk, { recursive: true, force: true });
  });

  it("that is full refuses appends, turns and sessions with a clear error, loses nothing, and goes on when there is room", async () => {
    const session = await sessions.create("a");
    const filler = join(disk, "filler");
    const stored: string[] = [];
    writeFileSync(filler, Buffer.alloc(300 * 1024));
    let refused: unknown;
    for (let index = 0; index < 1000 && refused === undefined; index += 1) {
      const text = `${index} ${"x".repeat(3000)}`;
      await session.append(text).then(
        () => stored.push(text),
        (error: unknown) => (refused = error),
      );
    }
    expect(refused).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    expect(String(refused)).toMatch(/full|space/);
    await expect(session.append("y".repeat(100_000))).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    expect((await session.messages()).map(textOf)).toEqual(stored);
    // Another process sees the same.
    const other = createSessionManager({ backend: createFileBackend({ baseDir: join(disk, "store") }) });
    expect((await (await other.get(session.id)).messages()).map(textOf)).toEqual(stored);
    await other.close();

    rmSync(filler);
    await session.append("room again");
    const reply = await session.turn("and a turn?", async () => "as well");
    expect(reply.text).toBe("as well");
    expect((await session.messages()).map(textOf)).toEqual([...stored, "room again", "and a turn?", "as well"]);
    expect((await session.verify()).problems).toEqual([]);
  });

  it("that became read-only is refused with what is wrong, and goes on when it is writable", async () => {
    const { id } = await sessions.create("a");
    await (await sessions.get(id)).append("before");
    await sessions.close();
    // A file system with files open for writing does not become read-only.
    execFileSync("mount", ["-o", "remount,ro,size=1m", "tmpfs", disk]);
    try {
      const refused = createSessionManager({ backend: createFileBackend({ baseDir: join(disk, "store") }) });
      for (const call of [() => refused.create("a"), () => refused.get(id), () => refused.list()]) {
        await expect(call()).rejects.toMatchObject({ code: "PERMISSION_DENIED", message: expect.stringContaining("read-only") as string });
      }
      await refused.close();
    } finally {
      execFileSync("mount", ["-o", "remount,rw,size=1m", "tmpfs", disk]);
    }
    sessions = createSessionManager({ backend: createFileBackend({ baseDir: join(disk, "store") }) });
    const session = await sessions.get(id);
    await session.append("after");
    expect((await session.messages()).map(textOf)).toEqual(["before", "after"]);
  });
});
