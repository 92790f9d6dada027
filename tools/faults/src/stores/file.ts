import type { SessionBackend } from "@aixgo/session/backend";
import { createFileBackend, type FileBackendOptions } from "@aixgo/session-file";

/** `store` is the folder. */
export function openStore(store: string, options: FileBackendOptions = {}): SessionBackend {
  return createFileBackend({ ...options, baseDir: store });
}
