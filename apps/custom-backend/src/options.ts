import { basename, resolve } from "node:path";
import { AixgoError } from "@aixgo/core";
import { expandHome } from "@aixgo/security";

export interface SqliteBackendOptions {
  /** The database; `~` is the home folder. Made with mode 0600 by the first call. Must lie on a local disk. */
  readonly file: string;
  /** `disk`: an acknowledged entry survives a power cut; `os`: the end of the process, however it ends. @default "disk" */
  readonly durability?: "disk" | "os";
  /** How long a call tries to get past other processes before it throws `STORE_BUSY`. 1 to 600,000. @default 5000 */
  readonly busyTimeoutMs?: number;
  /** Metadata keys that `list` filters without `scan`. What has been declared once stays indexed in the database. @default [] */
  readonly indexedMetadata?: readonly string[];
  /** Longest line, in bytes. 256 KiB to 256 MiB. @default 16 MiB */
  readonly maxLineBytes?: number;
}

export interface ResolvedOptions {
  /** Absolute. */
  readonly file: string;
  /** The only form of it that messages name. */
  readonly shownFile: string;
  readonly durability: "disk" | "os";
  readonly busyTimeoutMs: number;
  readonly indexedMetadata: readonly string[];
  readonly maxLineBytes: number;
}

export const DEFAULT_BUSY_TIMEOUT_MS = 5_000;
export const DEFAULT_MAX_LINE_BYTES: number = 16 * 1024 * 1024;

const KNOWN: ReadonlySet<string> = new Set(["file", "durability", "busyTimeoutMs", "indexedMetadata", "maxLineBytes"]);

/** Throws `INVALID_OPTION` with the option's name. */
export function resolveOptions(options: SqliteBackendOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) throw invalid("options", "must be an object");
  for (const key of Object.keys(options)) if (!KNOWN.has(key)) throw invalid(key, `is not known; there are ${[...KNOWN].join(", ")}`);
  const { file, durability = "disk", indexedMetadata = [] } = options;
  if (typeof file !== "string" || file.trim() === "" || file.includes("\0")) throw invalid("file", "must be the path of a file");
  if (durability !== "disk" && durability !== "os") throw invalid("durability", 'must be "disk" or "os"');
  if (!Array.isArray(indexedMetadata) || indexedMetadata.some((key) => typeof key !== "string" || key === ""))
    throw invalid("indexedMetadata", "must be a list of metadata keys");
  return {
    file: resolve(expandHome(file)),
    shownFile: basename(file),
    durability,
    busyTimeoutMs: whole("busyTimeoutMs", options.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS, 1, 600_000),
    indexedMetadata: [...new Set<string>(indexedMetadata)],
    maxLineBytes: whole("maxLineBytes", options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES, 256 * 1024, 256 * 1024 * 1024),
  };
}

function whole(name: string, value: number, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) throw invalid(name, `must be a whole number from ${least} to ${most}`);
  return value;
}

function invalid(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `createSqliteBackend: option ${name} ${problem}`);
}
