export { createSqliteBackend } from "./sqlite-backend.ts";
export { DEFAULT_BUSY_TIMEOUT_MS, DEFAULT_MAX_LINE_BYTES } from "./options.ts";
export type { SqliteBackendOptions } from "./options.ts";
