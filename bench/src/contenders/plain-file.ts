import { closeSync, fdatasync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Contender, Store } from "./contender.ts";

const sync = promisify(fdatasync);

/** One file of JSON lines: what is written is built, what is read is parsed, nothing is checked. */
export const plainFile: Contender = {
  name: "floor: JSON.stringify and write",
  role: "floor",
  survives: "a kill",
  open: async (folder, text) => open(folder, text, false),
};

/** The same, each line synced. */
export const syncedFile: Contender = {
  name: "floor: write and fdatasync",
  role: "floor",
  survives: "a power cut",
  open: async (folder, text) => open(folder, text, true),
};

function open(folder: string, text: string, isSynced: boolean): Store {
  let count = 0;
  let bytes = 0;
  const descriptors: number[] = [];
  return {
    async filled(messages) {
      const path = join(folder, `${(count += 1)}.jsonl`);
      const fd = openSync(path, "a");
      descriptors.push(fd);
      let id = 0;
      const write = (): void => {
        id += 1;
        const message = { id: String(id), role: "user", parts: [{ type: "text", text }], timestamp: new Date().toISOString() };
        bytes += writeSync(fd, `${JSON.stringify(message)}\n`);
      };
      for (let left = messages; left > 0; left -= 1) write();
      const load = (): number => {
        const lines = readFileSync(path, "utf8").split("\n");
        lines.pop();
        return lines.map((line) => JSON.parse(line) as unknown).length;
      };
      const append = isSynced
        ? async (): Promise<void> => {
            write();
            await sync(fd);
          }
        : write;
      return { append, load, resume: load, checkpoint: append };
    },
    bytes: () => bytes,
    async close() {
      for (const fd of descriptors) closeSync(fd);
    },
  };
}
