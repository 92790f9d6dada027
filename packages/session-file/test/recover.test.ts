import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLayout, type Layout } from "../src/layout.ts";
import { corrupt, recover } from "../src/recovery.ts";
import type { LogState } from "../src/scan.ts";
import { changed, sample } from "./support/broken-log.ts";
import { temporaryStore } from "./support/writer.ts";

const MIB = 1024 * 1024;

describe("recovery under the lock", () => {
  let store: string;
  let layout: Layout;
  let fd: number | undefined;
  beforeEach(() => {
    store = temporaryStore();
    layout = createLayout(store, store);
    mkdirSync(join(store, "writer"));
  });
  afterEach(() => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
    rmSync(store, { recursive: true, force: true });
  });
  const path = (): string => join(store, "writer", "id.jsonl");
  const kept = (): Buffer | undefined => {
    const damaged = layout.damaged("writer", "id");
    return existsSync(damaged) ? readFileSync(damaged) : undefined;
  };
  function recovered(bytes: Buffer, state?: LogState): ReturnType<typeof recover> {
    writeFileSync(path(), bytes, { mode: 0o600 });
    if (fd !== undefined) closeSync(fd);
    fd = openSync(path(), "r+");
    return recover(fd, state, layout, "writer", "id", MIB);
  }

  it("cuts a torn tail, keeps what it cut, one behind the other, and leaves a whole log alone", () => {
    const { bytes } = sample(true);
    expect(recovered(bytes)).toMatchObject({ state: { head: { seq: 9, bytes: bytes.length } } });
    expect(kept()).toBeUndefined();
    expect(recovered(Buffer.concat([bytes, Buffer.from("torn")]))).toMatchObject({ state: { head: { seq: 9 } } });
    expect(readFileSync(path())).toEqual(bytes);
    const { state } = recovered(Buffer.concat([bytes, Buffer.from(" again")])) as { state: LogState };
    expect(kept()?.toString()).toBe("torn again");
    const long = Buffer.alloc(2 * MIB + 5, "y");
    expect(recovered(Buffer.concat([bytes, long]), state)).toEqual({ state });
    expect(kept()?.equals(Buffer.concat([Buffer.from("torn again"), long]))).toBe(true);
    const open = readdirSync("/proc/self/fd").map((each) => {
      try {
        return readlinkSync(`/proc/self/fd/${each}`);
      } catch {
        return "";
      }
    });
    expect(open.filter((each) => each.startsWith(store))).toEqual([path()]);
    expect(statSync(path()).size).toBe(bytes.length);
  });

  it("cuts nothing that is damaged", () => {
    const log = sample(false);
    const bytes = changed(log, (log.starts[3] as number) + 120);
    expect(recovered(bytes)).toEqual({ damage: { seq: 3, offset: log.starts[3] } });
    expect(readFileSync(path())).toEqual(bytes);
    expect(recovered(Buffer.from("no header"))).toEqual({ damage: { seq: 0, offset: 0 } });
    expect(recovered(Buffer.alloc(0))).toEqual({ damage: { seq: 0, offset: 0 } });
    expect(kept()).toBeUndefined();
  });

  it("says where the damage is, and what to do", () => {
    const error = corrupt(layout, "writer", "id", { seq: 3, offset: 77 }, ": more");
    expect(error).toMatchObject({
      code: "ENTRY_CORRUPT",
      details: { session: "id", seq: 3, offset: 77, file: "writer/id.jsonl" },
      message: expect.stringMatching(/damaged at entry 3, byte 77: more\. Nothing was changed/) as string,
    });
    expect(error.message).not.toContain(store);
  });
});
