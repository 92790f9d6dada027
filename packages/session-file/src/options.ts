import { resolve } from "node:path";
import { AixgoError } from "@aixgo/core";
import { expandHome } from "@aixgo/security";

export interface FileBackendOptions {
  /** Folder of the store; `~` is the home folder. Made with mode 0700 by the first call. @default "~/.aixgo/sessions" */
  readonly baseDir?: string;
  /** `disk`: an acknowledged entry survives a power cut; `os`: the end of the process, however it ends. @default "disk" */
  readonly durability?: "disk" | "os";
  /** How long a call waits for another process inside the lock before it throws `STORE_BUSY`. 1 to 600,000. @default 5000 */
  readonly lockTimeoutMs?: number;
  /** Promises that no other process opens this store: no file locks, and network file systems are allowed. @default false */
  readonly singleProcess?: boolean;
  /** Metadata keys that `list` filters without `scan`. @default [] */
  readonly indexedMetadata?: readonly string[];
  /** Longest line, in bytes. 1 KiB to 256 MiB. @default 16 MiB */
  readonly maxLineBytes?: number;
}

export interface ResolvedOptions {
  /** Absolute. */
  readonly baseDir: string;
  /** As the caller gave it: the only form that messages name. */
  readonly shownBaseDir: string;
  readonly durability: "disk" | "os";
  readonly lockTimeoutMs: number;
  readonly singleProcess: boolean;
  readonly indexedMetadata: readonly string[];
  readonly maxLineBytes: number;
}

export const DEFAULT_BASE_DIR = "~/.aixgo/sessions";
export const DEFAULT_LOCK_TIMEOUT_MS = 5_000;
export const DEFAULT_MAX_LINE_BYTES: number = 16 * 1024 * 1024;

const KNOWN: ReadonlySet<string> = new Set(["baseDir", "durability", "lockTimeoutMs", "singleProcess", "indexedMetadata", "maxLineBytes"]);

export function resolveOptions(options: FileBackendOptions = {}): ResolvedOptions {
  if (typeof options !== "object" || options === null) throw invalid("options", "must be an object");
  for (const key of Object.keys(options)) {
    if (!KNOWN.has(key)) throw invalid(key, `is not an option of createFileBackend; it takes ${[...KNOWN].join(", ")}`);
  }
  const baseDir = options.baseDir ?? DEFAULT_BASE_DIR;
  if (typeof baseDir !== "string" || baseDir.trim() === "") throw invalid("baseDir", "must be the path of a folder");
  const durability = options.durability ?? "disk";
  if (durability !== "disk" && durability !== "os") throw invalid("durability", 'must be "disk" or "os"');
  const singleProcess = options.singleProcess ?? false;
  if (typeof singleProcess !== "boolean") throw invalid("singleProcess", "must be true or false");
  const indexedMetadata = options.indexedMetadata ?? [];
  if (!Array.isArray(indexedMetadata) || indexedMetadata.some((key) => typeof key !== "string" || key === "")) {
    throw invalid("indexedMetadata", "must be a list of metadata keys");
  }
  return {
    baseDir: resolve(expandHome(baseDir)),
    shownBaseDir: baseDir,
    durability,
    lockTimeoutMs: whole("lockTimeoutMs", options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS, 1, 600_000),
    singleProcess,
    indexedMetadata: [...new Set<string>(indexedMetadata)],
    maxLineBytes: whole("maxLineBytes", options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES, 1024, 256 * 1024 * 1024),
  };
}

function whole(name: string, value: number, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) throw invalid(name, `must be a whole number from ${least} to ${most}`);
  return value;
}

function invalid(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `option ${name} ${problem}`);
}
