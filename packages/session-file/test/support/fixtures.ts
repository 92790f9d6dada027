import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Fixture } from "@aixgo/session-testkit";
import { createFileBackend, type FileBackendOptions } from "../../src/index.ts";

/** Arguments of Node for children that run TypeScript, wherever they are started. */
export const TYPESCRIPT: readonly string[] = [
  "--import",
  pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href,
  "--conditions=@aixgo/source",
];

/** Stores of one name lie in one folder, so that the kit's child processes find them. */
function fixture(name: string, folder: string, options: FileBackendOptions): Fixture {
  const pathOf = (store: string): string => join(tmpdir(), folder, store);
  return {
    name,
    module: import.meta.url,
    execArgv: TYPESCRIPT,
    offers: ["watch", "blobs"],
    sessions: process.env["AIXGO_LONG"] === "1" ? 10_000 : 1_000,
    async open(store) {
      return createFileBackend({ ...options, baseDir: pathOf(store) });
    },
    async destroy(store) {
      rmSync(pathOf(store), { recursive: true, force: true });
    },
    async remains(store, bytes) {
      const files = readdirSync(pathOf(store), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      return files.some(({ parentPath, name }) => readFileSync(join(parentPath, name)).includes(Buffer.from(bytes)));
    },
  };
}

export const disk: Fixture = fixture("files, disk", "aixgo-kit-disk", {});
export const os: Fixture = fixture("files, os, declared metadata", "aixgo-kit-os", {
  durability: "os",
  indexedMetadata: ["topic", "colour"],
  maxLineBytes: 2 * 1024 * 1024,
});
