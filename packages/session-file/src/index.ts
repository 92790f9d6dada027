export { createFileBackend } from "./file-backend.ts";
export { DEFAULT_BASE_DIR, DEFAULT_LOCK_TIMEOUT_MS, DEFAULT_MAX_LINE_BYTES } from "./options.ts";
export type { FileBackendOptions } from "./options.ts";
export { TOMBSTONE_DAYS } from "./tombstones.ts";
