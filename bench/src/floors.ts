import { hash } from "node:crypto";
import { closeSync, fdatasync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const sync = promisify(fdatasync);

/** A line of the same members and about the same bytes as ours. */
export function floorLine(text: string): string {
  return JSON.stringify({
    v: 1,
    seq: 1000,
    id: "AAAAAAAAAAAAAAAA",
    timestamp: new Date().toISOString(),
    type: "message",
    sync: 999,
    n: 1000,
    data: { role: "user", parts: [{ type: "text", text }] },
    hash: "A".repeat(43),
  });
}

/** The same, and its hash: what whoever keeps a hash chain must do for a line. */
export function builtLine(text: string): string {
  const line = floorLine(text);
  hash("sha256", line, "base64url");
  return line;
}

export interface AppendFloor {
  /** `JSON.stringify`, SHA-256 and `writeSync`. */
  readonly built: (text: string) => void;
  /** `writeSync` of bytes that are there, then `fdatasync` on the thread pool. */
  readonly durable: (bytes: Buffer) => Promise<void>;
  /** So many lines built, hashed and written as one, then one `fdatasync`. */
  readonly group: (text: string, lines: number) => Promise<void>;
  close(): void;
}

export function appendFloor(folder: string, name = "floor"): AppendFloor {
  const fd = openSync(join(folder, name), "a");
  const built = (text: string): string => `${builtLine(text)}\n`;
  return {
    built: (text) => void writeSync(fd, built(text)),
    durable: async (bytes) => {
      writeSync(fd, bytes);
      await sync(fd);
    },
    group: async (text, lines) => {
      let all = "";
      for (let line = 0; line < lines; line += 1) all += built(text);
      writeSync(fd, all);
      await sync(fd);
    },
    close: () => closeSync(fd),
  };
}

/** Create a file, fsync it and its folder. */
export function createFloor(folder: string): () => void {
  let count = 0;
  return () => {
    const fd = openSync(join(folder, `file-${(count += 1)}`), "wx");
    writeSync(fd, `${floorLine("header")}\n`);
    fsyncSync(fd);
    closeSync(fd);
    const directory = openSync(folder, "r");
    fsyncSync(directory);
    closeSync(directory);
  };
}
